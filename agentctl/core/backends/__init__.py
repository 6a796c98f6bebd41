"""Where answers come from: every model server and engine behind one `ChatModel`."""

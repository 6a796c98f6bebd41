"""Reading files of every format into documents."""

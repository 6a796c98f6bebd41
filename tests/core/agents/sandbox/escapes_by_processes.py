"""Ways by processes and threads, by taking all there is, and by lying to the host."""

from tests.core.agents.sandbox.bait import Escape

_NAMESPACE = "a process namespace of its own"
_FILTER = "the filter of system calls"
_NOTHING_LEFT = "the end of the sandbox's first process ends all others"
_WALL = "the host's clock: all processes are killed"
_LIMIT = "a limit that the system keeps for each process"
_WATCH = "the host, which looks at all processes together"
_PROTOCOL = "what does not fit the protocol ends the process"
_LIE = "the host knows which calls there are, and each goes through the gate"
_BROKE = "did not keep to the protocol"
_PIPES = """
def pipes():
    import fcntl
    for number in range(3, 64):
        try:
            if os.readlink(f"/proc/self/fd/{number}").startswith("pipe:"):
                if fcntl.fcntl(number, fcntl.F_GETFL) & os.O_ACCMODE == os.O_WRONLY:
                    yield number
        except OSError:
            pass

to_host = min(pipes())
"""

PROCESSES = [
    Escape(
        name="kill a process of the host",
        tries="kill it by its number, and kill all that can be killed",
        stopped_by=_NAMESPACE,
        expects="No such process",
        code="""
try:
    os.kill(HOST_PID, signal.SIGKILL)
    escaped()
except OSError as error:
    print(error, flush=True)
os.kill(-1, signal.SIGKILL)
""",
    ),
    Escape(
        name="kill the parent",
        tries="kill, stop and trace the process that started it",
        stopped_by=f"{_NAMESPACE}, whose first process takes no signals from within; {_FILTER}",
        expects="(?s)(Operation not permitted.*){2}still here",
        code="""
for name in ("SIGKILL", "SIGSTOP", "SIGTERM", "SIGINT"):
    os.kill(os.getppid(), getattr(signal, name))
for way in (("ptrace", 16, os.getppid(), 0, 0), ("process_vm_readv", os.getppid(), 0, 0, 0, 0, 0)):
    try:
        system_call(*way)
        escaped(way)
    except OSError as error:
        print(error)
print("still here")
""",
    ),
    Escape(
        name="daemon",
        tries="leave a process in a session of its own behind",
        stopped_by=_NOTHING_LEFT,
        expects="started",
        code="""
subprocess.Popen(["sleep", "600"], start_new_session=True, stdin=subprocess.DEVNULL,
                 stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
print("started")
""",
    ),
    Escape(
        name="orphan",
        tries="fork twice and leave the grandchild behind, with the output open",
        stopped_by=_NOTHING_LEFT,
        expects="started",
        code="""
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        time.sleep(600)
    os._exit(0)
print("started")
""",
    ),
    Escape(
        name="deaf process",
        tries="leave a process behind that ignores all signals that can be ignored",
        stopped_by=_NOTHING_LEFT,
        expects="started",
        code="""
script = "trap '' HUP INT TERM; while :; do sleep 1; done"
subprocess.Popen(["nohup", "sh", "-c", script], stdin=subprocess.DEVNULL,
                 stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
print("started")
""",
    ),
    Escape(
        name="late work",
        tries="write outside when the process ends, and in a thread after the block",
        stopped_by="the process is killed; until then it is in the sandbox",
        expects="registered",
        code="""
import atexit
def late():
    for path in (OUTSIDE, WORK):
        try:
            open(path + "/late.txt", "w")
        except OSError:
            pass

atexit.register(late)
threading.Thread(target=lambda: [late() or time.sleep(0.01) for _ in range(100)]).start()
print("registered")
""",
    ),
    Escape(
        name="endless loop",
        tries="go on for ever, whatever is raised or signalled",
        stopped_by=_WALL,
        expects="more than 1 seconds",
        wall_s=1.0,
        code="""
for name in ("SIGTERM", "SIGINT", "SIGHUP", "SIGALRM"):
    signal.signal(getattr(signal, name), signal.SIG_IGN)
while True:
    try:
        while True:
            time.sleep(0.01)
    except BaseException:
        pass
""",
    ),
    Escape(
        name="endless pattern",
        tries="stay in C code that no exception reaches: a regular expression that explodes",
        stopped_by=_WALL,
        expects="more than 1 seconds",
        wall_s=1.0,
        code='import re; re.match(r"(a+)+$", "a" * 64 + "b"); escaped()',
    ),
    Escape(
        name="fork bomb",
        tries="fill the machine with processes",
        stopped_by=f"{_LIMIT} (not for root), and {_WATCH}",
        expects="processes|Resource temporarily unavailable",
        code="""
while True:
    if os.fork() == 0:
        time.sleep(600)
""",
    ),
]

RESOURCES = [
    Escape(
        name="memory",
        tries="allocate 600 MB",
        stopped_by=_LIMIT,
        expects="MemoryError",
        code='data = b"x" * 600_000_000; escaped()',
    ),
    Escape(
        name="memory of many",
        tries="allocate in several processes what one may not",
        stopped_by=_WATCH,
        expects="of memory",
        code="""
for _ in range(6):
    if os.fork() == 0:
        data = b"x" * 80_000_000
        time.sleep(600)
time.sleep(600)
escaped()
""",
    ),
    Escape(
        name="processor time",
        tries="compute for longer than is allowed, in what time the clock allows",
        stopped_by=_LIMIT,
        expects="more than 1 seconds of processor time",
        cpu_s=1,
        code="""
while True:
    pass
""",
    ),
    Escape(
        name="one large file",
        tries="fill the disk with a file",
        stopped_by=_LIMIT,
        expects="File too large",
        code="""
with open(SCRATCH + "/large", "wb") as file:
    for _ in range(100):
        file.write(bytes(1_000_000))
escaped()
""",
    ),
    Escape(
        name="many large files",
        tries="fill the disk with files each of which is small enough",
        stopped_by=_WATCH,
        expects="of the disk",
        code="""
for number in range(20):
    with open(f"{SCRATCH}/{number}", "wb") as file:
        os.posix_fallocate(file.fileno(), 0, 9_000_000)
time.sleep(600)
escaped()
""",
    ),
    Escape(
        name="many small files",
        tries="fill the disk's tables with empty files",
        stopped_by=_WATCH,
        expects="of the disk",
        code="""
for number in range(600):
    os.close(os.open(f"{SCRATCH}/{number}", os.O_CREAT | os.O_WRONLY))
time.sleep(600)
escaped()
""",
    ),
    Escape(
        name="folders in memory",
        tries="fill the memory through /tmp and /dev/shm",
        stopped_by="both have a size",
        expects="(?s)(No space left on device.*){2}",
        code="""
for folder in ("/tmp", "/dev/shm"):
    try:
        for number in range(100):
            with open(f"{folder}/{number}", "wb") as file:
                file.write(bytes(9_000_000))
        escaped(folder)
    except OSError as error:
        print(error)
""",
    ),
    Escape(
        name="memory of nobody",
        tries="hold memory that is not its own: files in memory, shared segments",
        stopped_by=_FILTER,
        expects="(?s)(Function not implemented.*){2}",
        code="""
for way in (("memfd_create", b"x", 0), ("shmget", 0, 100_000_000, 0o1600)):
    try:
        system_call(*way)
        escaped(way)
    except OSError as error:
        print(error)
""",
    ),
    Escape(
        name="deep recursion",
        tries="overrun the stack of the interpreter",
        stopped_by=f"{_LIMIT}; what crashes is the sandbox's own process",
        expects="MemoryError|RecursionError|SIGSEGV|exit 139",
        code="""
sys.setrecursionlimit(2**31 - 1)
def deeper(values):
    return sorted(values, key=lambda each: deeper([each]))

deeper([1])
escaped()
""",
    ),
    Escape(
        name="crash",
        tries="read memory that is none",
        stopped_by="what crashes is the sandbox's own process",
        expects="SIGSEGV|exit 139",
        code="ctypes.string_at(0); escaped()",
    ),
    Escape(
        name="flood of output",
        tries="fill the host's memory through stdout",
        stopped_by="the host reads twice what it shows, then kills",
        expects="printed",
        code="""
while True:
    os.write(1, b"x" * 65536)
""",
    ),
    Escape(
        name="flood of errors",
        tries="fill the host's memory through stderr",
        stopped_by="the host reads twice what it shows, then kills",
        expects="printed",
        code="""
while True:
    sys.stderr.write("x" * 65536)
""",
    ),
]

PROTOCOL = [
    Escape(
        name="flood of calls",
        tries="call a tool without end, past the function for it",
        stopped_by="a block may make 1,000 calls, each of which goes through the gate",
        expects="called tools more than 1,000 times",
        path="session",
        code=f"""{_PIPES}
run = next(each for each in __import__("gc").get_objects() if type(each).__name__ == "_Channel").run
line = b'{{"kind": "call", "run": %d, "name": "look_up", "args": {{}}}}\\n' % run
while True:
    os.write(to_host, line)
""",
    ),
    Escape(
        name="a tool that is none",
        tries="call a tool that was not offered",
        stopped_by=_LIE,
        expects="there is no tool 'run_shell'",
        path="session",
        code="""
channel = next(each for each in __import__("gc").get_objects() if type(each).__name__ == "_Channel")
channel.call("run_shell", {"command": "touch " + OUTSIDE + "/new"})
escaped()
""",
    ),
    Escape(
        name="arguments that are none",
        tries="call a tool with what is no object of arguments",
        stopped_by=_PROTOCOL,
        expects=_BROKE,
        path="session",
        code=f"""{_PIPES}
os.write(to_host, b'{{"kind": "call", "run": 1, "name": "look_up", "args": ["x"]}}\\n')
time.sleep(600)
""",
    ),
    Escape(
        name="message of another block",
        tries="answer for a block that is not running",
        stopped_by=_PROTOCOL,
        expects=_BROKE,
        path="session",
        code=f"""{_PIPES}
os.write(to_host, b'{{"kind": "result", "run": 7, "value": "forged"}}\\n')
time.sleep(600)
""",
    ),
    Escape(
        name="unknown message",
        tries="ask the host for what the protocol does not know",
        stopped_by=_PROTOCOL,
        expects=_BROKE,
        path="session",
        code=f"""{_PIPES}
os.write(to_host, b'{{"kind": "eval", "run": 1, "code": "1"}}\\n')
time.sleep(600)
""",
    ),
    Escape(
        name="no message",
        tries="send bytes that are no JSON",
        stopped_by=_PROTOCOL,
        expects=_BROKE,
        path="session",
        code=f"""{_PIPES}
os.write(to_host, bytes(range(256)) + b"\\n")
time.sleep(600)
""",
    ),
    Escape(
        name="deep message",
        tries="overrun the stack of the host with JSON in JSON",
        stopped_by=_PROTOCOL,
        expects=_BROKE,
        path="session",
        code=f"""{_PIPES}
text = b'{{"kind": "call", "run": 1, "name": "look_up", "args": {{"x": ' + b"[" * 100_000 + b"\\n"
while text:
    text = text[os.write(to_host, text):]
time.sleep(600)
""",
    ),
    Escape(
        name="endless message",
        tries="fill the host's memory with one message",
        stopped_by="the host reads 8 MB of a message",
        expects=_BROKE,
        path="session",
        code=f"""{_PIPES}
while True:
    os.write(to_host, b"x" * 65536)
""",
    ),
    Escape(
        name="closed pipes",
        tries="close all files, so that the host waits for ever",
        stopped_by="the end of the pipe is the end of the process",
        expects="process ended",
        path="session",
        code="os.closerange(0, 1000)",
    ),
    Escape(
        name="forked answer",
        tries="answer twice, from two processes",
        stopped_by="one process answers; another would not fit the protocol",
        expects="forked",
        path="session",
        code='os.fork(); print("forked")',
    ),
    Escape(
        name="trace of the worker",
        tries="trace the functions of the worker, and read what it knows of the host",
        stopped_by="it knows nothing that the code does not know",
        expects="traced",
        path="session",
        code="""
def trace(frame, event, argument):
    for name, value in {**frame.f_globals, **frame.f_locals}.items():
        if isinstance(value, str) and value.startswith("secret-"):
            escaped(name)
    return trace

sys.settrace(trace)
sys.setprofile(trace)
print("traced")
""",
    ),
]

"""Ways by the network and by the kernel's own doors."""

from tests.core.agents.sandbox.bait import Escape

_NETWORK = "a network namespace of its own, which leads nowhere"
_FILTER = "the filter of system calls"
_NO_FAMILY = "Address family not supported"

NETWORK = [
    Escape(
        name="a server of the host",
        tries="connect to a server on the host's loopback",
        stopped_by=_NETWORK,
        expects="Connection refused",
        code="""
for address in ("127.0.0.1", "localhost"):
    try:
        socket.create_connection((address, PORT), 5)
        escaped(address)
    except OSError as error:
        print(error)
""",
    ),
    Escape(
        name="the internet",
        tries="reach an address outside, by TCP and UDP",
        stopped_by=_NETWORK,
        expects="(?s)(Network is unreachable.*){2}",
        code="""
for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
    try:
        with socket.socket(socket.AF_INET, kind) as way:
            way.settimeout(5)
            way.connect(("192.0.2.1", 53))
            way.send(b"hello")
            escaped(kind)
    except OSError as error:
        print(error)
""",
    ),
    Escape(
        name="names",
        tries="carry data out in the look-up of a name",
        stopped_by=_NETWORK,
        expects="gaierror",
        code='print(socket.getaddrinfo("data.example.com", 80)); escaped()',
    ),
    Escape(
        name="raw sockets",
        tries="write packets by itself",
        stopped_by=f"no capabilities, and {_FILTER}",
        expects=f"(?s)Operation not permitted.*{_NO_FAMILY}",
        code="""
for family, kind in ((socket.AF_INET, socket.SOCK_RAW), (socket.AF_PACKET, socket.SOCK_RAW)):
    try:
        socket.socket(family, kind, socket.IPPROTO_ICMP)
        escaped(family)
    except OSError as error:
        print(error)
""",
    ),
    Escape(
        name="abstract socket",
        tries="connect to a Unix socket of the host that has no file",
        stopped_by=f"{_FILTER}, and a network namespace",
        expects=_NO_FAMILY,
        code="socket.socket(socket.AF_UNIX).connect(ABSTRACT); escaped()",
    ),
    Escape(
        name="socket in the work folder",
        tries="connect to a Unix socket of the host whose file can be seen",
        stopped_by=_FILTER,
        expects=_NO_FAMILY,
        code='socket.socket(socket.AF_UNIX).connect("host.socket"); escaped()',
    ),
    Escape(
        name="sockets of the desktop",
        tries="find the sockets of D-Bus, X11, Docker and agents",
        stopped_by="no folder that holds them is mounted, and no variable names them",
        expects="looked",
        code="""
folders = ("/run", "/var/run", "/tmp/.X11-unix", "/run/user/1000", "/var/run/docker.sock")
names = ("DBUS_SESSION_BUS_ADDRESS", "DISPLAY", "WAYLAND_DISPLAY", "SSH_AUTH_SOCK")
found = [*filter(os.path.exists, folders), *(name for name in names if name in os.environ)]
print("looked", found)
if found:
    escaped(found)
""",
    ),
    Escape(
        name="hypervisor",
        tries="open a socket to the machine around this one, and one to the kernel's tables",
        stopped_by=_FILTER,
        expects=f"(?s)({_NO_FAMILY}.*){{2}}",
        code="""
for family in (40, 16):
    try:
        socket.socket(family, socket.SOCK_STREAM if family == 40 else socket.SOCK_RAW)
        escaped(family)
    except OSError as error:
        print(error)
""",
    ),
]

KERNEL = [
    Escape(
        name="user namespace",
        tries="become root in a namespace of its own: unshare, setns, clone, clone3",
        stopped_by=_FILTER,
        expects="(?s)(Operation not permitted.*){3}Function not implemented",
        code="""
ways = [("unshare", 0x10000000), ("setns", 0, 0), ("clone", 0x10000011, 0), ("clone3", 0, 0)]
for way in ways:
    try:
        if system_call(*way) >= 0:
            escaped(way)
    except OSError as error:
        print(error)
""",
    ),
    Escape(
        name="keys",
        tries="read the keyrings of the user's session",
        stopped_by=_FILTER,
        expects="Operation not permitted",
        code='system_call("keyctl", 0, -3, 0); escaped()',
    ),
    Escape(
        name="typing into the terminal",
        tries="put a command into the input of the terminal that the program was started from",
        stopped_by=f"a session without a terminal, and {_FILTER}",
        expects="(?s)No such device or address.*Operation not permitted",
        code="""
import fcntl, pty
try:
    os.open("/dev/tty", os.O_RDWR)
    escaped("tty")
except OSError as error:
    print(error)
for number in (0, 1, 2, pty.openpty()[1]):
    try:
        fcntl.ioctl(number, 0x5412, b"x")
        escaped(number)
    except OSError as error:
        print(error)
""",
    ),
    Escape(
        name="programs that run as root",
        tries="become root by setuid, or by a program with the set-user-ID bit",
        stopped_by="no new privileges, no capabilities; only one user exists in there",
        expects="(?s)(Invalid argument|not permitted).*NoNewPrivs:\\t1",
        code="""
try:
    os.setuid(0)
    escaped()
except OSError as error:
    print(error)
print(open("/proc/self/status").read())
for program in ("su", "mount", "passwd", "newgrp"):
    done = subprocess.run(["sh", "-c", f"{program} -h; id -u"], stdin=subprocess.DEVNULL,
                          capture_output=True, text=True)
    if done.stdout.split()[-1:] == ["0"]:
        escaped(program)
""",
    ),
    Escape(
        name="rarely used calls",
        tries="load a program into the kernel, or have it work past all filters",
        stopped_by=_FILTER,
        expects="(?s)(Operation not permitted.*){3}",
        code="""
for way in (("bpf", 0, 0, 0), ("perf_event_open", 0, 0, -1, -1, 0), ("io_uring_setup", 1, 0)):
    try:
        system_call(*way)
        escaped(way)
    except OSError as error:
        print(error)
""",
    ),
    Escape(
        name="clock and name of the machine",
        tries="set them",
        stopped_by="no capabilities",
        expects="(?s)(Operation not permitted.*){2}",
        code="""
for way in (lambda: socket.sethostname("x"), lambda: time.clock_settime(0, 1)):
    try:
        way()
        escaped()
    except OSError as error:
        print(error)
""",
    ),
    Escape(
        name="limits",
        tries="raise its own limits and priority again",
        stopped_by="no capabilities",
        expects="(?s)(not allowed to raise|not permitted|Permission denied).*(permitted|denied)",
        code="""
import resource
def raise_limit():
    resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))

for way in (raise_limit, lambda: os.setpriority(os.PRIO_PROCESS, 0, -20)):
    try:
        way()
        escaped()
    except (OSError, ValueError) as error:
        print(error)
""",
    ),
]

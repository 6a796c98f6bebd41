"""Ways to files: what is not to be read, and what is not to be written."""

from tests.core.agents.sandbox.bait import Escape

_NOT_MOUNTED = "only the work folder and the system's programs are mounted"
_READ_ONLY = "mounted read-only"
_NAMESPACE = "a process namespace of its own"
_FILTER = "the filter of system calls"
_GONE = "No such file or directory|FileNotFoundError"

READING = [
    Escape(
        name="frames of a generator",
        tries="climb from a generator to the frames of the program around it, and read a file",
        stopped_by=f"the host's program is in another process; {_NOT_MOUNTED}",
        expects=_GONE,
        code="""
frames = []
generator = (frames.append(generator.gi_frame.f_back) for _ in [0])
next(generator)
frame = frames[0]
while frame is not None:
    everything = {**frame.f_globals, **frame.f_locals}
    for name, value in everything.items():
        if isinstance(value, str) and value.startswith("secret-"):
            escaped(name)
    top, frame = frame, frame.f_back
print(top.f_globals["__builtins__"].open(SECRET_FILE).read())
""",
    ),
    Escape(
        name="str.format",
        tries="read the environment through the attributes that a format string names",
        stopped_by="the environment is a new one",
        expects="PATH",
        code='print("{0.environ}".format(os))',
    ),
    Escape(
        name="environment",
        tries="read the environment of every process",
        stopped_by=f"the environment is a new one, for bubblewrap itself too; {_NAMESPACE}",
        expects="looked at 1",
        code="""
for number in filter(str.isdigit, os.listdir("/proc")):
    try:
        print("looked at", number, open(f"/proc/{number}/environ").read())
    except OSError as error:
        print("looked at", number, error)
""",
    ),
    Escape(
        name="password file",
        tries="read /etc/shadow",
        stopped_by=_NOT_MOUNTED,
        expects=_GONE,
        code='print(open("/etc/shadow").read()); escaped()',
    ),
    Escape(
        name="homes",
        tries="find files in /root and /home",
        stopped_by=_NOT_MOUNTED,
        expects="looked",
        code="""
import glob
print("looked", glob.glob("/home/*/.*") + glob.glob("/root/.[bsg]*"))
for path in ("/root/.bashrc", "/root/.profile", "/root/.ssh", os.path.expanduser("~/.ssh")):
    if os.path.exists(path):
        escaped(path)
""",
    ),
    Escape(
        name="the program's own folder",
        tries="read the project that this program was started from",
        stopped_by=_NOT_MOUNTED,
        expects=_GONE,
        code='print(open(PROJECT + "/pyproject.toml").read()); escaped()',
    ),
    Escape(
        name="a file beside the work folder",
        tries="read it by its path, and from the work folder upwards",
        stopped_by=_NOT_MOUNTED,
        expects=_GONE,
        code="""
for path in (SECRET_FILE, "../outside/secret.txt", WORK + "/../outside/secret.txt"):
    try:
        print(open(path).read())
    except OSError as error:
        print(error)
""",
    ),
    Escape(
        name="link in the work folder",
        tries="read through a link that leads out",
        stopped_by=_NOT_MOUNTED,
        expects=_GONE,
        code='print(open(WORK + "/link.txt").read())',
    ),
    Escape(
        name="link of its own",
        tries="make a link that leads out, and read through it",
        stopped_by=_NOT_MOUNTED,
        expects=_GONE,
        code="""
os.symlink(SECRET_FILE, SCRATCH + "/way-out")
print(open(SCRATCH + "/way-out").read())
""",
    ),
    Escape(
        name="root of other processes",
        tries="read through /proc/N/root and /proc/N/cwd",
        stopped_by=_NAMESPACE,
        expects="tried 1",
        code="""
for number in [*filter(str.isdigit, os.listdir("/proc")), "self"]:
    for way in ("root", "cwd/../../../../../../../.."):
        try:
            print(open(f"/proc/{number}/{way}{SECRET_FILE}").read())
        except OSError as error:
            print("tried", number, error)
""",
    ),
    Escape(
        name="inherited files",
        tries="find open files and folders of the host among its descriptors",
        stopped_by="descriptors are not inherited",
        expects="all seen",
        code="""
for number in os.listdir("/proc/self/fd"):
    try:
        target = os.readlink("/proc/self/fd/" + number)
        if not target.startswith(("pipe:", "/proc/", SCRATCH)) and target != "/dev/null":
            escaped(target)
        os.open("..", os.O_RDONLY, dir_fd=int(number))
    except OSError:
        pass
print("all seen")
""",
    ),
    Escape(
        name="processes of the host",
        tries="find them in /proc",
        stopped_by=_NAMESPACE,
        expects="looked",
        code="""
numbers = sorted(map(int, filter(str.isdigit, os.listdir("/proc"))))
print("looked", numbers)
if len(numbers) > 9:
    escaped(numbers)
""",
    ),
    Escape(
        name="devices",
        tries="read disks and memory as devices, and the kernel's own memory",
        stopped_by="a /dev of its own, without devices; masked in /proc",
        expects="tried 6",
        code="""
paths = ["/dev/vda", "/dev/sda", "/dev/nvme0n1", "/dev/mem", "/dev/kmsg", "/proc/kcore"]
for number, path in enumerate(paths, 1):
    try:
        open(path, "rb").read(1)
        escaped(path)
    except OSError as error:
        print("tried", number, error)
""",
    ),
    Escape(
        name="file handles",
        tries="open a file of the host's disk by its handle, past all folders",
        stopped_by=_FILTER,
        expects="Operation not permitted",
        code='system_call("open_by_handle_at", 0, 0, 0); escaped()',
    ),
]

WRITING = [
    Escape(
        name="work folder",
        tries="write, truncate, remove and make files in it",
        stopped_by=_READ_ONLY,
        expects="(?s)(Read-only file system.*){4}",
        code="""
def write(mode):
    with open(WORK + "/file.txt", mode) as file:
        file.write("changed")

ways = [lambda: write("a"), lambda: write("w"), lambda: os.remove(WORK + "/file.txt")]
for way in [*ways, lambda: os.mkdir(WORK + "/new"), lambda: os.chmod(WORK + "/file.txt", 0o777)]:
    try:
        way()
        escaped()
    except OSError as error:
        print(error)
""",
    ),
    Escape(
        name="the system's programs",
        tries="put a program into /usr/bin",
        stopped_by=_READ_ONLY,
        expects="Read-only file system",
        code='open("/usr/bin/agentctl-escape", "w"); escaped()',
    ),
    Escape(
        name="the host's Python",
        tries="change a module that the host imports",
        stopped_by=_READ_ONLY,
        expects="Read-only file system",
        code="open(os.__file__, 'a'); escaped()",
    ),
    Escape(
        name="root folder",
        tries="write where nothing is mounted, to fill the memory or fake a folder",
        stopped_by=_READ_ONLY,
        expects="(?s)(Read-only file system.*){3}",
        code="""
for path in ("/new", "/dev/new", "/etc/ld.so.preload"):
    try:
        open(path, "w")
        escaped(path)
    except OSError as error:
        print(error)
""",
    ),
    Escape(
        name="write through a link",
        tries="write through a link in the work folder that leads out",
        stopped_by=_NOT_MOUNTED,
        expects=_GONE,
        code='open(WORK + "/link/new.txt", "w"); escaped()',
    ),
    Escape(
        name="hard link",
        tries="give a file of the work folder a second name where writing is allowed",
        stopped_by="links do not cross mounts",
        expects="Invalid cross-device link|Read-only file system",
        code='os.link(WORK + "/file.txt", SCRATCH + "/file.txt"); escaped()',
    ),
    Escape(
        name="rename out",
        tries="move a file of the work folder to where writing is allowed",
        stopped_by="names do not cross mounts",
        expects="Invalid cross-device link|Read-only file system",
        code='os.rename(WORK + "/file.txt", SCRATCH + "/file.txt"); escaped()',
    ),
    Escape(
        name="make a device",
        tries="make the disk's device in the scratch folder",
        stopped_by="no capabilities, and mounts without devices",
        expects="Operation not permitted",
        code="""
import stat
os.mknod(SCRATCH + "/disk", 0o600 | stat.S_IFBLK, os.makedev(8, 0))
escaped()
""",
    ),
    Escape(
        name="mount",
        tries="mount the work folder anew, to write to it",
        stopped_by=f"no capabilities, and {_FILTER}",
        expects="Operation not permitted",
        code='system_call("mount", b"none", WORK.encode(), b"", 0x1000 | 0x20, 0); escaped()',
    ),
    Escape(
        name="chroot",
        tries="change the root, and climb out of it",
        stopped_by=f"no capabilities, and {_FILTER}",
        expects="Operation not permitted",
        code='system_call("chroot", SCRATCH.encode()); escaped()',
    ),
    Escape(
        name="set-user-ID program",
        tries="leave a program behind that runs as the user for anyone who starts it",
        stopped_by=_FILTER,
        expects="(?s)(Operation not permitted.*){2}",
        code="""
path = SCRATCH + "/program"
open(path, "w").close()
for way in (lambda: os.chmod(path, 0o4755), lambda: os.open(path + "2", os.O_CREAT, 0o2755)):
    try:
        way()
    except OSError as error:
        print(error)
""",
    ),
    Escape(
        name="switches of the kernel",
        tries="open /proc/sys/kernel/core_pattern to write, by which root runs a program outside",
        stopped_by="/proc is mounted read-only",
        expects="(?s)((Read-only file system|Permission denied).*){2}",
        code="""
for path in ("/proc/sys/kernel/core_pattern", "/proc/sys/kernel/hostname"):
    try:
        open(path, "a").close()
        escaped(path)
    except OSError as error:
        print(error)
""",
    ),
]

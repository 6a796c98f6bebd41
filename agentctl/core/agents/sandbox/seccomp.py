"""The system calls that code in the sandbox may not make, as a filter for the kernel.

Namespaces leave some doors: keys of the user's session, sockets to the hypervisor (AF_VSOCK), Unix
sockets of other programs in the work folder, further namespaces in which the code would be root,
memory that no limit counts, and programs with the set-user-ID bit that it could leave behind.
"""

import errno
import struct

# Each processor's own numbers; those from 424 on are the same everywhere.
_ARCHITECTURES = {"x86_64": (0xC000003E, 0), "aarch64": (0xC00000B7, 1)}
_EVERYWHERE = {
    "io_uring_setup": 425,
    "io_uring_enter": 426,
    "io_uring_register": 427,
    "open_tree": 428,
    "move_mount": 429,
    "fsopen": 430,
    "fsconfig": 431,
    "fsmount": 432,
    "fspick": 433,
    "pidfd_getfd": 438,
    "mount_setattr": 442,
}
_FORBIDDEN = {
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "kcmp": (312, 272),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    "unshare": (272, 97),
    "setns": (308, 268),
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "name_to_handle_at": (303, 264),
    "open_by_handle_at": (304, 265),
    "syslog": (103, 116),
    "quotactl": (179, 60),
    "acct": (163, 89),
    "swapon": (167, 224),
    "swapoff": (168, 225),
    "reboot": (169, 142),
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "delete_module": (176, 106),
    "kexec_load": (246, 104),
    "kexec_file_load": (320, 294),
    "iopl": (172, None),
    "ioperm": (173, None),
    "modify_ldt": (154, None),
}
_UNKNOWN = {
    # Their flags lie in memory, where no filter sees them. Every C library has another way.
    "clone3": (435, 435),
    "openat2": (437, 437),
    # Memory that is no process's own, so that no limit counts it.
    "memfd_create": (319, 279),
    "memfd_secret": (447, 447),
    "shmget": (29, 194),
    "msgget": (68, 186),
}
_NEW_NAMESPACES = 0x7E020000
_SET_ID_BITS = 0o6000
# By number: which argument, and the bits that it may not have.
_WITHOUT_BITS = {
    "clone": ((56, 220), 0, _NEW_NAMESPACES),
    "chmod": ((90, None), 1, _SET_ID_BITS),
    "fchmod": ((91, 52), 1, _SET_ID_BITS),
    "fchmodat": ((268, 53), 2, _SET_ID_BITS),
    "fchmodat2": ((452, 452), 2, _SET_ID_BITS),
    "open": ((2, None), 2, _SET_ID_BITS),
    "openat": ((257, 56), 3, _SET_ID_BITS),
    "creat": ((85, None), 1, _SET_ID_BITS),
    "mknod": ((133, None), 1, _SET_ID_BITS),
    "mknodat": ((259, 33), 2, _SET_ID_BITS),
}
_SOCKET, _INTERNET = (41, 198), (2, 10)
_IOCTL, _TYPES_INTO_TERMINALS = (16, 29), (0x5412, 0x541C)

_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW, _FAIL, _KILL = 0x7FFF0000, 0x00050000, 0x80000000
_NUMBER_AT, _ARCHITECTURE_AT, _ARGUMENTS_AT = 0, 4, 16


def seccomp_filter(machine: str) -> bytes | None:
    """The filter for a processor, by the name that `os.uname` gives it; None for one unknown."""
    if machine not in _ARCHITECTURES:
        return None
    architecture, column = _ARCHITECTURES[machine]
    program = _Program()
    program.add(_LOAD, _ARCHITECTURE_AT)
    program.add(_EQUAL, architecture, 1, 0)
    program.add(_RETURN, _KILL)
    program.add(_LOAD, _NUMBER_AT)
    if machine == "x86_64":
        # The x32 numbers, by which everything below could be called too.
        program.add(_AT_LEAST, 0x40000000, 0, 1)
        program.fail(errno.ENOSYS)
    for number in (*(numbers[column] for numbers in _FORBIDDEN.values()), *_EVERYWHERE.values()):
        program.forbid(number, errno.EPERM)
    for number in (numbers[column] for numbers in _UNKNOWN.values()):
        program.forbid(number, errno.ENOSYS)
    for each, argument, bits in _WITHOUT_BITS.values():
        program.forbid_bits(each[column], argument, bits)
    program.allow_values(_SOCKET[column], 0, _INTERNET, errno.EAFNOSUPPORT)
    program.forbid_values(_IOCTL[column], 1, _TYPES_INTO_TERMINALS)
    program.add(_RETURN, _ALLOW)
    return bytes(program.code)


class _Program:
    """Instructions of the kernel's packet filter; the accumulator holds the call's number."""

    def __init__(self) -> None:
        self.code = bytearray()

    def add(self, operation: int, operand: int, if_true: int = 0, if_false: int = 0) -> None:
        self.code += struct.pack("HBBI", operation, if_true, if_false, operand)

    def fail(self, reason: int) -> None:
        self.add(_RETURN, _FAIL | reason)

    def forbid(self, number: int | None, reason: int) -> None:
        if number is not None:
            self.add(_EQUAL, number, 0, 1)
            self.fail(reason)

    def forbid_bits(self, number: int | None, argument: int, bits: int) -> None:
        if number is not None:
            self.add(_EQUAL, number, 0, 4)
            self.add(_LOAD, _ARGUMENTS_AT + 8 * argument)
            self.add(_ANY_BIT, bits, 0, 1)
            self.fail(errno.EPERM)
            self.add(_LOAD, _NUMBER_AT)

    def forbid_values(self, number: int, argument: int, values: tuple[int, int]) -> None:
        self.add(_EQUAL, number, 0, 5)
        self.add(_LOAD, _ARGUMENTS_AT + 8 * argument)
        self.add(_EQUAL, values[0], 1, 0)
        self.add(_EQUAL, values[1], 0, 1)
        self.fail(errno.EPERM)
        self.add(_LOAD, _NUMBER_AT)

    def allow_values(
        self, number: int, argument: int, values: tuple[int, int], reason: int
    ) -> None:
        self.add(_EQUAL, number, 0, 5)
        self.add(_LOAD, _ARGUMENTS_AT + 8 * argument)
        self.add(_EQUAL, values[0], 2, 0)
        self.add(_EQUAL, values[1], 1, 0)
        self.fail(reason)
        self.add(_LOAD, _NUMBER_AT)

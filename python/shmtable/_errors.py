"""The exceptions of the package: each is an `Error` and also a builtin exception."""


class Error(Exception):
    """The base class of all exceptions of this package."""


class MissingKeyError(Error, KeyError):
    """There is no value for the key."""


class TableFullError(Error, MemoryError):
    """The table holds as many entries as it was created for."""


class ValueSpaceFullError(Error, MemoryError):
    """The table has no room left for a key and its value."""


class MaxBytesReachedError(Error, MemoryError):
    """The table may not take more memory: its `max_bytes` is reached."""


class SharedMemoryFullError(Error, MemoryError):
    """The machine has no room left in its shared memory; `shmtable.gc` may free some."""


class AddressSpaceFullError(Error, MemoryError):
    """This process has no room in its address space to map the table."""


class FileTooLargeError(Error, OSError):
    """The table's file would be longer than this process may write."""


class TooManyFilesError(Error, OSError):
    """This process, or the machine, has as many files open as it may."""


class KeyTooLargeError(Error, ValueError):
    """A key is too long for the table, or for its encoding."""


class ValueTooLargeError(Error, ValueError):
    """A value does not fit even the empty table, or is too long for its encoding."""


class KeyTypeError(Error, TypeError):
    """An object of this type can't be a key."""


class ValueTypeError(Error, TypeError):
    """A value is of a type that the table's codec can't store, or `edit` can't change."""


class NotANumberError(Error, TypeError):
    """`add` was given, or found, something that isn't a number."""


class InvalidNameError(Error, ValueError):
    """A table can't have this name."""


class InvalidOptionError(Error, ValueError):
    """An option is outside its range."""


class NotFoundError(Error, FileNotFoundError):
    """There is no table with this name."""


class NotATableError(Error, OSError):
    """Something else has the name of the table: a symbolic link, a folder, a pipe."""


class TooSmallError(Error, ValueError):
    """The table with this name was created smaller than it is asked to be."""


class AlreadyExistsError(Error, FileExistsError):
    """There is a table with this name already."""


class WrongOwnerError(Error, PermissionError):
    """The table belongs to a user whom the option `trust` does not name."""


class AccessDeniedError(Error, PermissionError):
    """The system refuses access to the table."""


class ReadOnlyError(Error, PermissionError):
    """The handle was opened read-only and can't write."""


class PickleRefusedError(Error, ValueError):
    """A pickle was not loaded or stored, because other users may write to the table."""


class IncompatibleFormatError(Error, ValueError):
    """The file isn't a segment, or is one of an incompatible version."""


class CodecMismatchError(Error, ValueError):
    """The table was created with another codec."""


class CodecError(Error, ValueError):
    """Bytes in the table can't be decoded with its codec."""


class CorruptedError(Error, ValueError):
    """The segment is damaged."""


class DamagedDumpError(Error, ValueError):
    """A file isn't a dump, or is damaged or cut."""


class ClosedError(Error, ValueError):
    """The handle is closed."""


class ConflictError(Error, RuntimeError):
    """A value that `edit` loaded was replaced or removed by another caller."""


class LockTimeoutError(Error, TimeoutError):
    """A living process held a lock for too long."""


class WaitTimeoutError(Error, TimeoutError):
    """`wait`, `wait_change` or the wait for a lock timed out."""


class DeadlockError(Error, RuntimeError):
    """Computations or holders of locks wait for each other, or one waits for itself."""


class ComputeTimeoutError(Error, TimeoutError):
    """Another caller computes the value, and did not finish in time."""


class WaitAbandonedError(Error, RuntimeError):
    """The asyncio task that a thread waited for was cancelled, or its loop has ended."""


class NotStoredWarning(RuntimeWarning):
    """A computed value is returned but not stored, because there is no room for it."""


class DescriptorClosedError(Error, OSError):
    """Something else in this process closed the handle's descriptor; open the table again."""


class TooManyParticipantsError(Error, RuntimeError):
    """More handles are open for writing than the table was created for."""


class SystemCallError(Error, OSError):
    """The operating system reported an error that no other class stands for."""

"""The exceptions: each is an `Error`, and the builtin one would catch anyway."""


class Error(Exception):
    """The base of all exceptions of this package."""


class MissingKeyError(Error, KeyError):
    """There is no value for the key."""


class TableFullError(Error, MemoryError):
    """The table holds as many entries as it was created for."""


class ValueSpaceFullError(Error, MemoryError):
    """The table has no room left for a key and its value."""


class SharedMemoryFullError(Error, MemoryError):
    """The machine has no room left in its shared memory; `shmtable.gc` may free some."""


class AddressSpaceFullError(Error, MemoryError):
    """This process has no room in its address space to map the table."""


class FileTooLargeError(Error, OSError):
    """The table would be a longer file than this process may write."""


class TooManyFilesError(Error, OSError):
    """This process, or the machine, has as many files open as it may."""


class KeyTooLargeError(Error, ValueError):
    """A key is longer than the table, or its encoding, takes."""


class ValueTooLargeError(Error, ValueError):
    """A value could not fit the table even if it were empty, or its encoding."""


class KeyTypeError(Error, TypeError):
    """A key is of a type that no table takes."""


class ValueTypeError(Error, TypeError):
    """The table's codec has no form for a value."""


class NotANumberError(Error, TypeError):
    """`add` met something that it cannot add."""


class InvalidNameError(Error, ValueError):
    """A name that no table can have."""


class InvalidOptionError(Error, ValueError):
    """An option is outside its range."""


class NotFoundError(Error, FileNotFoundError):
    """There is no table of this name."""


class NotATableError(Error, OSError):
    """Something else has the name of the table: a symbolic link, a folder, a pipe."""


class TooSmallError(Error, ValueError):
    """The table of this name was created with less than is asked for."""


class AlreadyExistsError(Error, FileExistsError):
    """There is a table of this name already."""


class WrongOwnerError(Error, PermissionError):
    """The table belongs to a user whom the option `trust` does not name."""


class AccessDeniedError(Error, PermissionError):
    """The system refuses access to the table."""


class ReadOnlyError(Error, PermissionError):
    """A write through a handle that was opened read-only."""


class PickleRefusedError(Error, ValueError):
    """A pickle in a table that other users may write to was neither loaded nor stored."""


class IncompatibleFormatError(Error, ValueError):
    """The segment was not made by a compatible version."""


class CodecMismatchError(Error, ValueError):
    """The table was created with another codec."""


class CodecError(Error, ValueError):
    """Bytes in the table are not in its codec's form."""


class CorruptedError(Error, ValueError):
    """The segment's bytes are damaged."""


class ClosedError(Error, ValueError):
    """The handle is closed."""


class LockTimeoutError(Error, TimeoutError):
    """A living process kept a lock for too long."""


class WaitTimeoutError(Error, TimeoutError):
    """`wait` waited as long as it was told to, and the key has no value yet."""


class DeadlockError(Error, RuntimeError):
    """Computations wait for each other's values, or one asks for its own."""


class ComputeTimeoutError(Error, TimeoutError):
    """Somebody else computes a value, and has not finished in time."""


class WaitAbandonedError(Error, RuntimeError):
    """The asyncio task that a thread waited for was cancelled, or its loop has ended."""


class NotStoredWarning(RuntimeWarning):
    """A computed value is returned, and not stored because it has no room."""


class DescriptorClosedError(Error, OSError):
    """Something else in this process closed the handle's descriptor; open the table again."""


class TooManyParticipantsError(Error, RuntimeError):
    """More handles are open for writing than the table was created for."""


class SystemCallError(Error, OSError):
    """The system answered something else."""

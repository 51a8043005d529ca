#pragma once

/// Lets two paths of one file system change places in one step. Returns 0, or -1 with `errno`: EINVAL or ENOSYS where the
/// file system cannot do it.
int files_exchange(const char *one, const char *other);

/// Renames in one step where nothing has the new name. Returns 0, or -1 with `errno`: EEXIST where something has it; EINVAL
/// or ENOSYS where the file system cannot tell.
int files_rename_to_new(const char *from, const char *to);

/// Whether a file system is mounted on this folder, so that it cannot be renamed. 0 where the system does not tell.
int files_is_mounted(const char *folder);

/// Opens a file that is in no folder and goes away when it is closed. Returns its descriptor, or -1 with `errno`.
int files_without_name(const char *title);

#define _GNU_SOURCE
#include "files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#if defined(__linux__)

int files_exchange(const char *one, const char *other) {
  return renameat2(AT_FDCWD, one, AT_FDCWD, other, RENAME_EXCHANGE);
}

int files_rename_to_new(const char *from, const char *to) {
  return renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE);
}

int files_is_mounted(const char *folder) {
  struct statx status;
  if (statx(AT_FDCWD, folder, 0, 0, &status) != 0) return 0;
  return (status.stx_attributes_mask & status.stx_attributes & STATX_ATTR_MOUNT_ROOT) != 0;
}

int files_without_name(const char *title) { return memfd_create(title, MFD_CLOEXEC); }

#else

int files_exchange(const char *one, const char *other) { return renamex_np(one, other, RENAME_SWAP); }

int files_rename_to_new(const char *from, const char *to) { return renamex_np(from, to, RENAME_EXCL); }

int files_is_mounted(const char *folder) { return 0; }

int files_without_name(const char *title) {
  char path[] = "/tmp/lathe.XXXXXX";
  int descriptor = mkstemp(path);
  if (descriptor >= 0) {
    unlink(path);
    fcntl(descriptor, F_SETFD, FD_CLOEXEC);
  }
  return descriptor;
}

#endif

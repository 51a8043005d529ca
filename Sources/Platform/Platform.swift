// The C library under its name on this system: files, processes, and functions of numbers; and what its two forms call
// differently.
#if canImport(Glibc)
  @_exported public import Glibc
#else
  @_exported public import Darwin
#endif

extension stat {
  /// When what is in the file was last changed.
  package var modified: timespec {
    #if canImport(Glibc)
      st_mtim
    #else
      st_mtimespec
    #endif
  }

  /// When the file was last read.
  package var accessed: timespec {
    #if canImport(Glibc)
      st_atim
    #else
      st_atimespec
    #endif
  }
}

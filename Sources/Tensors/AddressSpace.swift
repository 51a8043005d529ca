import Platform

/// The addresses that this process may still use, where somebody has limited them (`ulimit -v`).
public enum AddressSpace {
  /// In bytes; `nil` where there is no limit, or nothing is known of what is used.
  public static var free: Int? {
    #if os(Linux)
      var limit = rlimit()
      guard getrlimit(__rlimit_resource_t(RLIMIT_AS.rawValue), &limit) == 0, limit.rlim_cur < Int.max,
        let file = fopen("/proc/self/statm", "r")
      else { return nil }
      defer { fclose(file) }
      var line = [CChar](repeating: 0, count: 256)
      guard fgets(&line, 256, file) != nil else { return nil }
      let pages = strtol(line, nil, 10)
      return max(0, Int(limit.rlim_cur) - pages * Int(sysconf(Int32(_SC_PAGESIZE))))
    #else
      return nil
    #endif
  }
}

import Foundation

/// The processors that this process may use.
enum Processors {
  /// How many there are for this process.
  static var count: Int { ProcessInfo.processInfo.activeProcessorCount }

  /// How many of them its share of time fills, at least 1.
  ///
  /// A container may have the time of two processors on a machine of sixty-four. With a thread for each of the sixty-four the
  /// time of a period is soon gone, and all stand still until the next.
  static var share: Int {
    let groups = (try? String(contentsOfFile: "/proc/self/cgroup", encoding: .utf8)) ?? ""
    let quotas = groups.split(separator: "\n").compactMap { quota(ofGroup: String($0)) }
    return min(count, quotas.map { max(1, Int($0.rounded(.up))) }.min() ?? count)
  }

  /// The processors' worth of time that a group and those above it allow; `nil` where they allow all.
  ///
  /// - Parameter line: of `/proc/self/cgroup`: the hierarchy's number, its controllers, the group.
  private static func quota(ofGroup line: String) -> Double? {
    let parts = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
    guard parts.count == 3 else { return nil }
    let controllers = parts[1].split(separator: ",")
    guard controllers.isEmpty || controllers.contains("cpu") else { return nil }
    let roots =
      controllers.isEmpty
      ? ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"] : ["/sys/fs/cgroup/\(parts[1])", "/sys/fs/cgroup/cpu"]
    var quotas: [Double] = [], path = parts[2].split(separator: "/")
    while true {
      for root in roots {
        let folder = ([root] + path.map(String.init)).joined(separator: "/")
        if let quota = quota(inFolder: folder) { quotas.append(quota) }
      }
      if path.popLast() == nil { return quotas.min() }
    }
  }

  private static func quota(inFolder folder: String) -> Double? {
    func numbers(_ file: String) -> [Double?] {
      ((try? String(contentsOfFile: "\(folder)/\(file)", encoding: .utf8)) ?? "").split(whereSeparator: \.isWhitespace)
        .map { Double($0) }
    }
    var pair = numbers("cpu.max")
    if pair.isEmpty { pair = numbers("cpu.cfs_quota_us") + numbers("cpu.cfs_period_us") }
    guard pair.count == 2, let time = pair[0], let period = pair[1], time > 0, period > 0 else { return nil }
    return time / period
  }
}

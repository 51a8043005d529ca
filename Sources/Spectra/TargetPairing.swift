public import Adapters

/// Targets of several adapters that change the same base weight, matched under any dialect.
public struct TargetPairing: Sendable {
  public struct Group: Sendable {
    public let key: TargetKey
    /// The target in each adapter, where it has one.
    public let members: [(adapter: Int, target: Target)]
  }

  /// In the first adapter's order, then what only later ones have.
  public let groups: [Group]

  public init(_ adapters: [Adapter]) {
    var order: [TargetKey] = [], members: [TargetKey: [(adapter: Int, target: Target)]] = [:]
    for (index, adapter) in adapters.enumerated() {
      for target in adapter.targets {
        if members[target.key] == nil { order.append(target.key) }
        members[target.key, default: []].append((index, target))
      }
    }
    groups = order.map { Group(key: $0, members: members[$0]!) }
  }
}

public import Adapters
public import Models

/// Targets of several adapters that change the same rows of the same base weight, matched under any dialect.
///
/// The family's name map says which names mean one module. Where one adapter has a projection of several parts as a whole
/// and another has the parts, the whole is divided, or the parts are put together; either is exact.
public struct TargetPairing: Sendable {
  /// The targets that change the same rows of one weight.
  public struct Group: Sendable {
    /// The target under any dialect.
    public let key: TargetKey
    /// As the first adapter spells it that has the module as it is; otherwise the module's name.
    public var name: String { ownName ?? module ?? key.path }
    /// The module's name with dots, where a map was asked for it.
    package let module: String?
    fileprivate let ownName: String?
    /// The targets of each adapter, in the adapters' order; an adapter may have several, whose sum is meant.
    public let members: [(adapter: Int, target: Target)]

    /// The members of each adapter that has some: places in `members`.
    package var places: [Int: Range<Int>] {
      members.indices.reduce(into: [:]) { places, index in
        let adapter = members[index].adapter
        places[adapter] = (places[adapter]?.lowerBound ?? index)..<index + 1
      }
    }
  }

  /// In the first adapter's order, then what only later ones have.
  public let groups: [Group]

  /// Pairs what can be compared: projections stay whole where all adapters have them so, and are divided otherwise.
  public init(_ adapters: [Adapter]) {
    let entries = Self.entries(adapters, layout: adapters.count > 1 ? .diffusers : nil)
    // What else touches the rows of an entry, as sets of parts.
    var divisions: [TargetKey: Set<[TargetKey]>] = [:]
    for entry in entries { for part in entry.parts { divisions[part, default: []].insert(entry.parts) } }
    var groups = Groups()
    for entry in entries {
      guard let pieces = entry.pieces else {
        groups.add(entry, to: entry.parts)
        continue
      }
      if pieces.count > 1, entry.parts.allSatisfy({ divisions[$0]!.count == 1 }) {
        groups.add(entry, to: entry.parts)
        continue
      }
      for (piece, part) in zip(pieces, entry.parts) {
        let size = piece.sourceRows.count
        let target = entry.target.placing(
          rows: piece.sourceRows, at: 0, of: size, swappingHalves: piece.swapsHalves)
        groups.add(entry, target, of: piece, to: [part])
      }
    }
    self.groups = groups.all
  }

  /// Pairs what can be added up under the names of one layout, whose modules have all rows.
  ///
  /// - Parameter layout: `nil` for the names that the adapters have.
  /// - Returns: also the first target that cannot be brought into the layout because the rows of other parts of its
  ///   projection are not known, with what is missing.
  package static func pairing(
    _ adapters: [Adapter], in layout: ModuleNames.Dialect?
  ) -> (pairing: TargetPairing, fault: (target: Target, adapter: Int, missing: [String])?) {
    let entries = entries(adapters, layout: layout), places = ModulePlaces(family: family(of: adapters), components: [])
    var members: [TargetKey: [(entry: Entry, piece: ModulePlaces.Piece)]] = [:]
    for entry in entries {
      for (piece, part) in zip(entry.pieces ?? [], entry.parts) { members[part, default: []].append((entry, piece)) }
    }
    var groups = Groups()
    for entry in entries {
      guard let pieces = entry.pieces else {
        groups.add(entry, to: entry.parts)
        continue
      }
      for (piece, part) in zip(pieces, entry.parts) {
        var start = 0, count = piece.sourceRows.count
        if let share = members[part]!.lazy.compactMap(\.piece.share).first {
          let others = members[part]!
          let whole = others.first { $0.piece.share == nil }?.entry.target.rows
          let rows = Dictionary(
            others.compactMap { other in other.piece.share.map { ($0.part, other.piece.sourceRows.count) } },
            uniquingKeysWith: { first, _ in first })
          guard
            let sizes = ModulePlaces.sizes(
              share, rows: rows, whole: whole, inputs: entry.inputs, in: places.family)
          else {
            let missing = share.names.indices.filter { rows[$0] == nil }.map { share.names[$0] }
            return (TargetPairing(groups: groups.all), (entry.target, entry.adapter, missing))
          }
          count = sizes.reduce(0, +)
          if let own = piece.share?.part { start = sizes[..<own].reduce(0, +) }
          // Parts of another width than the whole says are found out when they are added up.
          if start + piece.sourceRows.count > count { (start, count) = (0, piece.sourceRows.count) }
        }
        let target = entry.target.placing(
          rows: piece.sourceRows, at: start, of: count, swappingHalves: piece.swapsHalves)
        groups.add(entry, target, of: piece, to: [part])
      }
    }
    return (TargetPairing(groups: groups.all), nil)
  }

  private init(groups: [Group]) { self.groups = groups }

  /// The family whose names the adapters have: the first one that tells. A small adapter may have names that could be of
  /// several families, and belongs to the one that it is used with. Where none tells, one that all can be will do, if others have
  /// the same names for all of their modules.
  package static func family(of adapters: [Adapter]) -> Family {
    if let told = adapters.map(\.family).first(where: { $0 != .unknown }) { return told }
    let common = (adapters.first?.candidates ?? []).filter { family in
      adapters.allSatisfy { $0.candidates.contains(family) }
    }
    return Family.agreeing(common, on: adapters.lazy.flatMap { $0.targets.map(\.key) }) ?? .unknown
  }

  // MARK: Entries

  /// A target with its place in the layout.
  private struct Entry {
    let adapter: Int
    let target: Target
    /// Columns of its module's weight.
    let inputs: Int
    /// `nil` where names are compared as they are.
    let pieces: [ModulePlaces.Piece]?
    /// What each piece is under any dialect.
    let parts: [TargetKey]
  }

  /// - Parameter layout: the names that all are brought to; `nil` where each adapter's own names will do.
  private static func entries(_ adapters: [Adapter], layout: ModuleNames.Dialect?) -> [Entry] {
    let common = family(of: adapters)
    return adapters.enumerated().flatMap { index, adapter -> [Entry] in
      let family = adapter.family == .unknown ? common : adapter.family
      let places = ModulePlaces(family: family, components: [.denoiser, .denoiser2])
      // Keys of Stable Diffusion's UNets and of text encoders are those of one spelling already.
      let isMapped = layout != nil && family.hasTransformer
      var widths: [String: Int] = [:]
      for target in adapter.targets where target.kind != .vector { widths[target.key.path] = target.inputs }
      return adapter.targets.map { target in
        let inputs = target.kind == .vector ? widths[target.key.path] ?? 0 : target.inputs
        let pieces =
          isMapped && !target.key.component.isTextEncoder
          ? places.pieces(of: target, in: layout!, inputs: inputs) : nil
        return Entry(
          adapter: index, target: target, inputs: inputs, pieces: pieces,
          parts: (pieces?.map(\.identity) ?? [target.key]).map(\.inAnyModel))
      }
    }
  }

  /// Groups in the order in which they came to be.
  private struct Groups {
    private var order: [[TargetKey]] = [], groups: [[TargetKey]: Group] = [:]

    var all: [Group] { order.map { groups[$0]! } }

    /// - Parameters:
    ///   - target: the entry's own, or the rows of it that the piece is.
    ///   - identity: what the members of a group have in common.
    mutating func add(
      _ entry: Entry, _ target: Target? = nil, of piece: ModulePlaces.Piece? = nil, to identity: [TargetKey]
    ) {
      let member = (entry.adapter, target ?? entry.target)
      // A part of a target is not what the target's name says.
      let name = piece.map { $0.sourceRows.count == entry.target.rows ? entry.target.name : nil } ?? entry.target.name
      if groups[identity] == nil { order.append(identity) }
      let known = groups[identity]
      groups[identity] = Group(
        key: known?.key ?? piece?.key ?? entry.target.key, module: known?.module ?? piece?.module,
        ownName: known?.ownName ?? name, members: (known?.members ?? []) + [member])
    }
  }
}

extension TargetKey {
  /// The same for the T5 text encoder of any model: the dialects count text encoders differently, and no model has two.
  fileprivate var inAnyModel: TargetKey {
    component.isTextEncoder && path.hasPrefix("encoder_block_") ? TargetKey(.textEncoder3, path, parameter) : self
  }
}

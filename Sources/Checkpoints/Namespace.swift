import Models
import Tensors

/// All weights of one network under the names of one dialect.
struct Namespace: Sendable {
  private(set) var weights: [String: NamedWeight] = [:]
  /// In the order in which they came to be.
  private(set) var names: [String] = []

  init() {}

  mutating func add(_ name: String, _ weight: NamedWeight) {
    if weights.updateValue(weight, forKey: name) == nil { names.append(name) }
  }

  /// How many of the names each side of a map knows. Rules that name both sides alike say nothing.
  func count(of map: NameMap) -> (left: Int, right: Int) {
    let left = NameTranslator(map, from: .left, names: names), right = NameTranslator(map, from: .right, names: names)
    return names.reduce(into: (0, 0)) { counts, name in
      let isLeft = !left.matches(name).isEmpty, isRight = !right.matches(name).isEmpty
      if isLeft, !isRight { counts.0 += 1 }
      if isRight, !isLeft { counts.1 += 1 }
    }
  }

  /// The same weights under the names on the right of a map. What the map does not know keeps its name.
  func translatedToRight(_ map: NameMap) -> Namespace {
    let translator = NameTranslator(map, from: .left, names: names)
    var result = Namespace()
    // Matrices first: a bias is cut as its matrix is.
    var cuts: [String: [NamedWeight]] = [:]
    for name in names.sorted(by: { weights[$0]!.shape.rank > weights[$1]!.shape.rank }) {
      guard let match = translator.matches(name).first else {
        result.add(name, weights[name]!)
        continue
      }
      let module = name.dropping(suffix: String(decoding: match.suffix, as: UTF8.self))
      guard let whole = weights[name]!.adjusted(by: match.rule),
        let parts = whole.split(match.rule.shares) ?? cuts[module].flatMap({ whole.split(like: $0) })
      else { continue }
      if whole.shape.rank > 1 { cuts[module] = parts }
      for (name, part) in zip(match.rightNames, parts) { result.add(name, part) }
    }
    return result
  }

  /// The same weights under the names on the left of a map; several where rules agree about the right name.
  func translatedToLeft(_ map: NameMap) -> Namespace {
    let translator = NameTranslator(map, from: .right, names: names)
    var result = Namespace()
    for name in names {
      let matches = translator.matches(name)
      if matches.isEmpty { result.add(name, weights[name]!) }
      for match in matches where match.part == 0 {
        let parts = match.rightNames.map { weights[$0] }
        guard parts.allSatisfy({ $0 != nil }), let joined = NamedWeight.joined(parts.map { $0! }),
          let whole = joined.adjusted(by: match.rule)
        else { continue }
        // The first rule holds: one about the last block stands before the one about all of them.
        if result.weights[match.leftName] == nil { result.add(match.leftName, whole) }
      }
    }
    return result
  }
}

extension NamedWeight {
  /// As the other side of a rule has it; both adjustments undo themselves.
  fileprivate func adjusted(by rule: NameMap.Rule) -> NamedWeight? {
    if rule.isTransposed { return transposed }
    return rule.swapsHalves ? swapped : self
  }
}

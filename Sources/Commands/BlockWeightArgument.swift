import ArgumentParser
import Factoring

/// `FILE=1,0,0.5,…` or `FILE=IN04:0.5,M00:0`.
struct BlockWeightArgument {
  let file: String
  let blocks: BlockWeights

  /// - Throws: `ValidationError` for what is no file with block weights.
  @Sendable init(_ argument: String) throws {
    guard let sign = argument.lastIndex(of: "="), sign != argument.startIndex else {
      throw ValidationError("expected a file and its numbers: FILE=IN04:0.5,M00:0")
    }
    file = String(argument[..<sign])
    let items = argument[argument.index(after: sign)...].split(separator: ",", omittingEmptySubsequences: false)
    guard items.contains(where: { $0.contains(":") }) else {
      let values = try items.map { try Self.number($0) }
      guard let list = BlockWeights(values) else {
        throw ValidationError("expected 12, 17, 20, 26 or 61 numbers, or labels with numbers, found \(values.count)")
      }
      blocks = list
      return
    }
    var named: [String: Double] = [:]
    for item in items {
      let parts = item.split(separator: ":", omittingEmptySubsequences: false)
      guard parts.count == 2, !parts[0].isEmpty else { throw ValidationError("expected LABEL:NUMBER, found \(item)") }
      guard named.updateValue(try Self.number(parts[1]), forKey: String(parts[0])) == nil else {
        throw ValidationError("expected each block once, found \(parts[0]) twice")
      }
    }
    blocks = BlockWeights(named: named)
  }

  private static func number(_ text: Substring) throws -> Double {
    guard let value = Double(text) else { throw ValidationError("expected a number, found \(text)") }
    if let reason = AdapterInput.fault(inStrength: value) { throw ValidationError(reason) }
    return value
  }
}

import Factoring
import JSON
import Tensors

/// What a report says of a merge that is not the adapters' sum.
struct MethodLines {
  let lines: [String]

  init(_ method: any MergeMethod) {
    let settings = method.settings.sorted { $0.key < $1.key }.map { key, value in
      "\(key.replacing("_", with: " ")) \(Self.text(value))"
    }
    var lines = ["  " + "method".padded(to: 16) + ([method.name] + settings).joined(separator: ", ")]
    if let measured = method.measured {
      lines.append(
        "  Of a character and seven styles it kept \(Self.text(measured)), where the exact sum kept "
          + "\(Self.text(.exactSum)), and its loss was \(Numbers.short(measured.loss)) times the sum's.")
    }
    lines.append(
      "  No method that was measured beat the exact sum on average: they shift the balance, as other strengths do.")
    self.lines = lines
  }

  private static func text(_ measured: MeasuredMerge) -> String {
    "\(Int((100 * measured.kept.character).rounded())) % and \(Int((100 * measured.kept.style).rounded())) %"
  }

  private static func text(_ value: JSONValue) -> String {
    if let list = value.array { return list.map(text).joined(separator: " and ") }
    return value.double.map(Numbers.short) ?? ""
  }
}

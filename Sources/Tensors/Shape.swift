/// The extents of a tensor, outermost first. A scalar has none.
public struct Shape: Hashable, Sendable, ExpressibleByArrayLiteral, CustomStringConvertible {
  /// Outermost first; none is negative, and their product fits in `Int`.
  public let extents: [Int]

  /// - Precondition: no extent is negative and the product of those that are not zero fits in `Int`.
  public init(_ extents: [Int]) {
    precondition(Self.elementCount(of: extents) != nil, "a shape needs extents whose product fits in Int")
    self.extents = extents
  }

  /// Extents as written in a program; the same must hold for them.
  public init(arrayLiteral extents: Int...) { self.init(extents) }

  /// The product of the extents, or `nil` when one is negative or the product overflows.
  ///
  /// An extent of zero hides no overflow of the others, so that every part of a shape has a product too.
  public static func elementCount(of extents: [Int]) -> Int? {
    var product = 1, isEmpty = false
    for extent in extents {
      guard extent >= 0 else { return nil }
      isEmpty = isEmpty || extent == 0
      let (value, overflow) = product.multipliedReportingOverflow(by: max(extent, 1))
      guard !overflow else { return nil }
      product = value
    }
    return isEmpty ? 0 : product
  }

  /// How many extents there are: 0 for a scalar, 2 for a matrix.
  public var rank: Int { extents.count }
  /// The product of the extents: 1 for a scalar.
  public var elementCount: Int { Self.elementCount(of: extents)! }
  /// An extent; axis 0 is the outermost.
  public subscript(axis: Int) -> Int { extents[axis] }

  /// The shape seen as a matrix: the first extent, and the product of all others (1 for a vector).
  public var flattened: (rows: Int, columns: Int) {
    (extents.first ?? 1, Self.elementCount(of: Array(extents.dropFirst()))!)
  }

  /// For example `[320, 768]`; `[]` for a scalar.
  public var description: String { "[" + extents.map(String.init).joined(separator: ", ") + "]" }
}

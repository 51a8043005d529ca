extension MapSize {
  /// Width, then height: `512x768`.
  public var text: String { "\(width)x\(height)" }

  /// Reads two whole numbers with an x between them, of either sign; `nil` for anything else.
  public init?(_ text: String) {
    let sides = text.split(separator: "x", omittingEmptySubsequences: false).map { Int($0) }
    guard sides.count == 2, let width = sides[0], let height = sides[1] else { return nil }
    self.init(height: height, width: width)
  }
}

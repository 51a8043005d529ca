public import Factoring

/// An adapter's use in a picture.
public struct AdapterUse: Sendable, Equatable {
  /// Index into `SheetAdapters.files`.
  public let file: Int
  /// With the strengths that it has in this picture.
  public var input: AdapterInput

  /// - Parameters:
  ///   - file: index into `SheetAdapters.files`, whose path is that of `input`.
  ///   - input: with the strengths that it has in the picture.
  public init(file: Int, input: AdapterInput) { (self.file, self.input) = (file, input) }

  /// Whether it changes anything.
  public var hasEffect: Bool { input.strength != 0 || input.textEncoderStrength != 0 }

  /// For people: `style 0.8`.
  public var label: String { input.label }

  /// The same with all strengths multiplied.
  func scaled(by factor: Double) -> AdapterUse { AdapterUse(file: file, input: input.scaled(by: factor)) }
}

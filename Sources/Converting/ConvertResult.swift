import Factoring

/// What a conversion wrote, measured on the file that was read again.
public struct ConvertResult: Sendable {
  /// A source target, and one of the output's that has some of its rows.
  public struct Entry: Sendable {
    /// The source target, as the input spells it.
    public let name: String
    /// The output's target, as the output spells it.
    public let newName: String
    /// ‖Δ − Δ'‖ ÷ ‖Δ‖ of the output's target; 0 when no bit of the delta has changed. `nil` before it is written.
    public let relativeError: Double?
  }

  /// The adapter's file or folder, as the user named it.
  public let output: String
  /// The size of all tensor files together.
  public let bytes: Int
  /// In the output's order; targets that were split or fused are there once for each pair.
  public let entries: [Entry]
  /// Files of textual inversions.
  public let splitOut: [String]
}

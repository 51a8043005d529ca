public import Factoring

/// The methods that users can choose.
public enum MergeMethods {
  /// The usual one first.
  public static let all: [any MergeMethod] = [LeadingComponents(), FairShares()]

  /// - Parameter name: as users call it.
  public static func named(_ name: String) -> (any MergeMethod)? { all.first { $0.name == name } }
}

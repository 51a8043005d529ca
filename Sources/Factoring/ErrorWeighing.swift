package import JSON
public import LinearAlgebra

/// What an error in each of a plan's targets counts, where that is not its size alone.
///
/// The error of a target is factor · E‖(Δ − Δ')·x‖² over the inputs x of its layer, or factor · ‖Δ − Δ'‖²_F where nothing is known
/// of them. Ranks are chosen, and components cut, so that the sum over all targets is smallest. Multiplying all factors by the same
/// number changes nothing.
public struct ErrorWeighing: Sendable {
  /// Of one target.
  public struct Measure: Sendable {
    /// How much an error there counts.
    public var factor: Double
    /// E[(down·x)·(down·x)ᵀ] for the components of the target's sum; `nil` where all inputs count alike.
    public var moments: Matrix?

    /// - Parameter factor: above 0 and finite.
    public init(factor: Double, moments: Matrix? = nil) {
      precondition(factor > 0 && factor.isFinite, "a weight of \(factor)")
      (self.factor, self.moments) = (factor, moments)
    }
  }

  /// One for each target of the plan, in its order.
  public let measures: [Measure]
  /// How much inputs that are all alike count beside those that were seen, 0 to 1.
  public let alike: Double
  /// What the output's recipe says of it, beside the weighing's name.
  package let fields: [String: JSONValue]

  /// - Parameter alike: 0.3 ÷ prompts, but at least 0.03, for moments of a calibration.
  public init(_ measures: [Measure], alike: Double = 0) { self.init(measures, alike: alike, fields: [:]) }

  package init(_ measures: [Measure], alike: Double, fields: [String: JSONValue]) {
    precondition((0...1).contains(alike), "a share of \(alike)")
    (self.measures, self.alike, self.fields) = (measures, alike, fields)
  }
}

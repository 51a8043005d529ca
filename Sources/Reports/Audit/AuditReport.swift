public import Audit
public import JSON
import Models

/// What an audit found: whether what came after is still what was before.
///
/// It is written as `report.json`, and read back by a later audit that compares itself with it.
public struct AuditReport: JSONReport, Decodable {
  public static let schema = "lathe.audit/1"

  /// What was looked at, with its limit.
  public struct Check: Codable, Sendable {
    /// For scripts: `weights.relative_error`.
    public var name: String
    /// For people: `relative error of the weights`.
    public var title: String
    /// `nil` when it could not be measured.
    @Explicit public var value: Double?
    public var limit: Double
    /// Whether larger values are better, so that the limit is the least that passes.
    public var isLeast: Bool
    public var pass: Bool
    /// The same measure of a change that everybody accepts; `nil` where there is none.
    @Explicit public var null: Double?
    /// Where the worst case is: a weight, a block, a prompt with its strength.
    @Explicit public var worst: String?
    /// One sentence: what the number means.
    public var meaning: String
    /// One sentence: what to do about it. Empty when nothing needs to be done.
    public var advice: String

    public init(
      name: String, title: String, value: Double?, limit: Double, isLeast: Bool, pass: Bool, null: Double?,
      worst: String?, meaning: String, advice: String
    ) {
      (self.name, self.title, self.limit, self.isLeast, self.pass) = (name, title, limit, isLeast, pass)
      (self.meaning, self.advice) = (meaning, advice)
      self.value = value
      self.null = null
      self.worst = worst
    }
  }

  public typealias Recipe = AuditRecipe
  public typealias Side = AuditRecipe.Side
  public typealias Adapter = AuditRecipe.Adapter
  public typealias Source = AuditRecipe.Source

  /// `within noise`, `visible but small` or `different`.
  public var verdict: String
  /// Whether all checks pass.
  public var passed: Bool
  /// One sentence for people.
  public var summary: String
  /// Sentences that explain a failure, the likeliest cause first.
  public var reasons: [String]
  public var checks: [Check]
  /// What was left out, each with its reason.
  public var notMeasured: [String]
  public var warnings: [String]
  public var recipe: Recipe
  @Explicit public var weights: Weights?
  @Explicit public var probe: Probe?
  public var pictures: [Picture]
  public var nulls: [Null]
  public var costs: [Cost]
  public var spectra: [BlockSpectrum]
  @Explicit public var curve: Curve?
  public var crossTalk: [CrossTalk]
  /// Of the whole audit.
  public var seconds: Double

  public init(
    verdict: String, passed: Bool, summary: String, reasons: [String], checks: [Check], notMeasured: [String],
    warnings: [String], recipe: Recipe, weights: Weights?, probe: Probe?, pictures: [Picture], nulls: [Null],
    costs: [Cost], spectra: [BlockSpectrum], curve: Curve?, crossTalk: [CrossTalk], seconds: Double
  ) {
    (self.verdict, self.passed, self.summary, self.reasons) = (verdict, passed, summary, reasons)
    (self.checks, self.notMeasured, self.warnings, self.recipe) = (checks, notMeasured, warnings, recipe)
    (self.pictures, self.nulls, self.costs, self.spectra) = (pictures, nulls, costs, spectra)
    (self.crossTalk, self.seconds) = (crossTalk, seconds)
    self.weights = weights
    self.probe = probe
    self.curve = curve
  }
}

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
    /// What `value` may be at most, or at least where `isLeast`.
    public var limit: Double
    /// Whether larger values are better, so that the limit is the least that passes.
    public var isLeast: Bool
    /// Whether the value keeps the limit or is no worse than `null`.
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

  /// The files, prompts and settings, with which the report can be made again.
  public typealias Recipe = AuditRecipe
  /// What was before, or what came after.
  public typealias Side = AuditRecipe.Side
  /// An adapter of a side, with its strengths.
  public typealias Adapter = AuditRecipe.Adapter
  /// A file with its size and hash.
  public typealias Source = AuditRecipe.Source

  /// `within noise`, `visible but small` or `different`.
  public var verdict: String
  /// Whether all checks pass.
  public var passed: Bool
  /// One sentence for people.
  public var summary: String
  /// Sentences that explain a failure, the likeliest cause first.
  public var reasons: [String]
  /// Those of this audit in a fixed order, and behind them those against an earlier one, named `against.…`.
  public var checks: [Check]
  /// What was left out, each with its reason.
  public var notMeasured: [String]
  /// Sentences about the files that are no finding of the audit.
  public var warnings: [String]
  /// What the report was made of.
  public var recipe: Recipe
  /// What is added to the weights, before against after; `null` only in reports that others wrote.
  @Explicit public var weights: Weights?
  /// `null` where the denoiser was not asked, or where numbers after are broken.
  @Explicit public var probe: Probe?
  /// One for each scene at each of its strengths; none in an audit without pictures.
  public var pictures: [Picture]
  /// Those of the arithmetic, each with its pictures; none in an audit without pictures.
  public var nulls: [Null]
  /// Of the base alone, before and after, in this order.
  public var costs: [Cost]
  /// One for each block that adapters have targets in; a side with a checkpoint of its own has no values.
  public var spectra: [BlockSpectrum]
  /// `null` unless both sides are adapters alone, and those before could be decomposed.
  @Explicit public var curve: Curve?
  /// Every ordered pair of the adapters before; none of a single one, nor of those on a checkpoint of their own.
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

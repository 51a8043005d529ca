/// An audit that was made before, as far as a later one compares itself with it.
public struct EarlierAudit: Sendable {
  /// What it was made under.
  public var conditions: AuditConditions
  /// What its checks found, by their names in its order; none of what it could not measure.
  public var values: [(name: String, value: Double)]

  /// - Parameter values: of checks that were measured, by their names.
  public init(conditions: AuditConditions, values: [(name: String, value: Double)]) {
    (self.conditions, self.values) = (conditions, values)
  }
}

/// What must be the same for the numbers of two audits to be compared.
public struct AuditConditions: Sendable {
  /// SHA-256 of the base's files; `nil` where they were not read for it.
  public var base: [String]?
  /// With all their prompts, seeds, sizes and strengths, in their order.
  public var scenes: [AuditScene]
  /// By its name on the command line: `dpm++2m`; empty where only weights were looked at.
  public var sampler: String
  /// Of each picture; 0 where only weights were looked at.
  public var steps: Int
  /// The scale of classifier-free guidance; 0 where only weights were looked at.
  public var cfg: Double
  /// The denoiser's arithmetic.
  public var precision: String
  /// Whose random numbers the noise is: `torch` or `philox`; empty where only weights were looked at.
  public var rng: String

  public init(
    base: [String]?, scenes: [AuditScene], sampler: String, steps: Int, cfg: Double, precision: String, rng: String
  ) {
    (self.base, self.scenes, self.sampler, self.steps) = (base, scenes, sampler, steps)
    (self.cfg, self.precision, self.rng) = (cfg, precision, rng)
  }

  /// Why numbers found under earlier conditions cannot be compared with those under these; `nil` when they can.
  public func difference(from earlier: AuditConditions) -> String? {
    func differs(_ what: String, _ was: String, _ now: String) -> String? {
      was == now ? nil : "\(what): expected \(was) as in that report, found \(now)"
    }
    // Files may lie elsewhere today; what is in them must be the same.
    if let expected = earlier.base?.sorted(), let found = base?.sorted(), expected != found {
      return "base: expected the same as in that report, found another"
    }
    guard earlier.scenes == scenes else { return "prompts: expected those of that report, found others" }
    return differs("sampler", earlier.sampler, sampler) ?? differs("steps", "\(earlier.steps)", "\(steps)")
      ?? differs("cfg", "\(earlier.cfg)", "\(cfg)") ?? differs("precision", earlier.precision, precision)
      ?? differs("rng", earlier.rng, rng)
  }
}

extension AuditReport {
  /// Why the numbers of an earlier report cannot be compared with these; `nil` when they can.
  public func difference(from earlier: AuditReport) -> String? {
    func differs(_ what: String, _ was: String, _ now: String) -> String? {
      was == now ? nil : "\(what): expected \(was) as in that report, found \(now)"
    }
    let old = earlier.recipe, new = recipe
    // Files may lie elsewhere today; what is in them must be the same.
    if let expected = old.base.fingerprint, let found = new.base.fingerprint, expected != found {
      return "base: expected the same as in that report, found another"
    }
    guard old.scenes == new.scenes else { return "prompts: expected those of that report, found others" }
    return differs("sampler", old.sampler, new.sampler) ?? differs("steps", "\(old.steps)", "\(new.steps)")
      ?? differs("cfg", "\(old.cfg)", "\(new.cfg)") ?? differs("precision", old.dtype, new.dtype)
      ?? differs("rng", old.rng, new.rng)
  }

  /// Adds a check for each one that the earlier report has too: the value must not be worse than it was, by more than a
  /// little or by more than the noise.
  public mutating func compare(with earlier: AuditReport) {
    var added: [Check] = []
    for old in earlier.checks {
      guard !old.name.hasPrefix(Self.earlierPrefix), let was = old.value,
        let new = checks.first(where: { $0.name == old.name }), let value = new.value
      else { continue }
      let limit = Self.limit(for: was, of: new)
      let pass = new.isLeast ? value >= limit : value <= limit
      added.append(
        Check(
          name: Self.earlierPrefix + new.name, title: "\(new.title), against the earlier audit", value: value,
          limit: limit, isLeast: new.isLeast, pass: pass, null: new.null, worst: new.worst,
          meaning: "The earlier audit had \(Numbers.short(was)).",
          advice: pass ? "" : "Find out what changed since: both reports name their files' hashes."))
    }
    checks += added
    let worse = added.filter { !$0.pass }
    guard !worse.isEmpty else { return }
    (passed, verdict) = (false, "different")
    reasons.append(
      "Worse than the earlier audit in \(worse.count) of \(added.count) checks, first of all the \(worse[0].title).")
    if summary.hasPrefix("Not the same") { return }
    summary = "Worse than the earlier audit."
  }

  private static let earlierPrefix = "against."

  /// What a value may be today that was `was`: a twentieth worse, or within the noise.
  private static func limit(for was: Double, of check: Check) -> Double {
    guard check.isLeast else { return max(was * 1.05 + 1e-9, min(check.null ?? 0, check.limit)) }
    guard was.isFinite else { return check.null ?? check.limit }
    // What is missing to perfect likeness; decibels have no perfect value.
    let perfect = check.name.hasSuffix("psnr") ? was + 20 : check.name.hasSuffix("ssimulacra2") ? 100 : 1
    let limit = was - 0.05 * (perfect - was)
    return min(limit, check.null ?? limit)
  }
}

extension [AuditReport.Source] {
  /// The files' hashes; `nil` where they are not known.
  fileprivate var fingerprint: [String]? {
    let hashes = compactMap(\.sha256)
    return hashes.count == count ? hashes.sorted() : nil
  }
}

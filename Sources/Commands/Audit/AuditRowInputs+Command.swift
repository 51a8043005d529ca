import Audit

extension AuditRowInputs {
  /// What the audit of a pair depends on, with the options of the command line.
  init(_ pair: AuditPair, command: AuditCommand) {
    let prompts = command.weightsOnly ? nil : pair.prompts ?? command.scenes.scene.prompts
    let others = [("prompts", prompts), ("vae", command.scenes.vae), ("against", command.against)]
    self.init(
      pair, settings: command.settings, others: others.compactMap { name, path in path.map { (name, $0) } })
  }
}

extension AuditCommand {
  /// Options that decide what an audit says of given files, as `name=value`, those of files apart.
  var settings: [String] {
    let numbers: [(String, String?)] = [
      ("negative", scenes.scene.negative), ("strengths", scenes.strengths.map { "\($0.values)" }),
      ("seed", scenes.scene.seed.map { "\($0)" }), ("size", size?.text), ("steps", scenes.steps.map { "\($0)" }),
      ("cfg", scenes.scene.cfg.map { "\($0)" }), ("sampler", scenes.sampler.rawValue),
      ("precision", scenes.precision.rawValue), ("rng", scenes.rng.rawValue), ("weights-only", "\(weightsOnly)"),
      ("hashes", "\(hashes)"),
    ]
    return scenes.scene.prompt.map { "prompt=\($0)" } + limit.map { "limit=\($0.measure.name)=\($0.limit)" }
      + numbers.compactMap { name, value in value.map { "\(name)=\($0)" } }
  }
}

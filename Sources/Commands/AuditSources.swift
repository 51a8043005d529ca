import Audit
import Checkpoints
import Merging
import Reports
import Safetensors

/// All that an audit read, with hashes: what is needed to make it again.
struct AuditSources {
  private let plan: AuditPlan
  private let isHashing: Bool

  init(_ plan: AuditPlan, hashing isHashing: Bool) { (self.plan, self.isHashing) = (plan, isHashing) }

  var recipe: AuditReport.Recipe {
    get throws {
      let request = plan.rendering?.request
      return AuditReport.Recipe(
        version: ToolVersion.current, command: ["lathe"] + CommandLine.arguments.dropFirst(),
        base: try sources(plan.base), family: plan.base.family.rawValue, before: try side(plan.before),
        after: try side(plan.after),
        scenes: plan.scenes.map {
          AuditReport.Scene(
            prompt: $0.prompt, negative: $0.negative, seed: $0.seed, size: "\($0.size.width)x\($0.size.height)",
            strengths: $0.strengths)
        }, sampler: request?.sampler.rawValue ?? "", steps: request?.steps ?? 0,
        cfg: Double(request?.guidance.scale ?? 0), rng: request?.generator.rawValue ?? "",
        dtype: plan.rendering?.precision.rawValue ?? "")
    }
  }

  private func side(_ side: AuditSide) throws -> AuditReport.Side {
    AuditReport.Side(
      label: side.label, checkpoint: try side.checkpoint.map { try sources($0) } ?? [],
      adapters: try zip(side.fits, side.inputs).map { fit, input in
        AuditReport.Adapter(
          file: try source(fit.adapter.tensorFile, named: fit.adapter.path), strength: input.strength,
          textEncoderStrength: input.textEncoderStrength, targets: fit.entries.count, fitting: fit.fittingCount)
      })
  }

  private func sources(_ checkpoint: Checkpoint) throws -> [AuditReport.Source] {
    try checkpoint.files.map { try source($0.contents.path, named: $0.contents.path) }
  }

  private func source(_ file: String, named name: String) throws -> AuditReport.Source {
    let mapped = try MappedFile(path: file)
    return AuditReport.Source(
      path: name, bytes: mapped.count, sha256: isHashing ? ContentHash.sha256(streaming: mapped.bytes) : nil)
  }
}

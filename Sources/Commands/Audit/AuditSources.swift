import Audit
import Checkpoints
import Factoring
import Files
import Models
import Reports
import Synchronization

/// Hashes of files that were read before: a base is the same for many audits, and hours of reading.
final class KnownHashes: Sendable {
  private let hashes = Mutex<[AuditRowInputs.File: String]>([:])

  func sha256(of file: MappedFile) -> String {
    let key = AuditRowInputs.File(at: file.path)
    if let known = hashes.withLock({ $0[key] }) { return known }
    let hash = ContentHash.sha256(streaming: file.bytes)
    hashes.withLock { $0[key] = hash }
    return hash
  }
}

/// All that an audit read, with hashes: what is needed to make it again.
struct AuditSources {
  private let plan: AuditPlan
  /// `nil` where files are not read for their hashes.
  private let hashes: KnownHashes?

  init(_ plan: AuditPlan, hashes: KnownHashes?) { (self.plan, self.hashes) = (plan, hashes) }

  var recipe: AuditReport.Recipe {
    get throws {
      let request = plan.rendering?.request
      return AuditReport.Recipe(
        version: ToolVersion.current, command: ["lathe"] + CommandLine.arguments.dropFirst(),
        base: try sources(plan.base), family: plan.base.family.name, before: try side(plan.before),
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
    return AuditReport.Source(path: name, bytes: mapped.count, sha256: hashes?.sha256(of: mapped))
  }
}

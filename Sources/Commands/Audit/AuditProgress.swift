import Audit
import Rendering
import Synchronization

/// Tells on the terminal how far an audit is.
final class AuditProgress: Sendable {
  private let weights: ProgressLine
  private let steps: Mutex<RenderProgress>
  private let stage = Mutex("")
  private let isShown: Bool
  /// What people call what predicts.
  private let denoiser: String

  init(_ plan: AuditPlan, isQuiet: Bool) {
    weights = ProgressLine("comparing weights", total: plan.weightCount, isQuiet: isQuiet)
    denoiser = plan.rendering?.model.denoiserName ?? ""
    steps = Mutex(RenderProgress(total: plan.stepCount, denoiser: denoiser, isQuiet: isQuiet))
    isShown = !isQuiet && Console.showsProgress
  }

  func update(_ progress: AuditPlan.Progress) {
    switch progress {
    case .weights(let done, of: _): weights.update(done)
    case .spectra: tell("computing spectra")
    case .probing(let name): tell("asking the \(denoiser): \(name)")
    case .pictures(let series, let progress):
      tell("pictures: \(Self.name(series))")
      steps.withLock { $0.update(progress) }
    case .reused(let name, let count):
      tell("known from earlier audits: \(name)")
      steps.withLock { $0.leaveOut(count) }
    case .decoding(let progress):
      tell("pictures of all latents")
      steps.withLock { $0.update(progress) }
    }
  }

  private static func name(_ series: AuditPictures.Series) -> String {
    switch series {
    case .base: "the base"
    case .before(let strength): "before, strength \(strength)"
    case .after(let strength): "after, strength \(strength)"
    case .null(let name): "the noise, \(name)"
    }
  }

  /// Each stage once, on a line of its own.
  private func tell(_ text: String) {
    let isNew = stage.withLock { shown in
      defer { shown = text }
      return shown != text
    }
    guard isShown, isNew else { return }
    Console.tell("\r\u{1b}[2K\(text)\n")
  }

  func finish() {
    weights.finish()
    steps.withLock { $0.finish() }
  }
}

import Checkpoints
import Diffusion

/// Tells on the terminal what a render is doing: what is loaded, and how long the steps will take.
final class RenderProgress {
  private let isShown: Bool
  /// Steps of all groups.
  private let total: Int
  private var before = 0
  private var done = 0
  private var stepping: Duration = .zero
  private var last: ContinuousClock.Instant?

  init(total: Int, isQuiet: Bool) {
    self.total = total
    isShown = !isQuiet && Console.showsProgress
  }

  func update(_ progress: Renderer.Progress) {
    switch progress {
    case .loading(let component):
      tell("loading the \(component.title)")
      // Loading is no part of a step.
      last = component == .denoiser ? .now : nil
    case .readingPrompts: tell("reading the prompts")
    case .step(let step, of: let own):
      let now = ContinuousClock.now
      if let last { stepping += now - last }
      last = now
      done = before + step
      if step == own { before = done }
      tell(bar)
    case .decoding(let picture, of: let count): tell("decoding picture \(picture) of \(count)")
    }
  }

  private var bar: String {
    let seconds = stepping / .seconds(1) / Double(max(done, 1)), left = seconds * Double(total - done)
    let filled = 24 * done / max(total, 1)
    let bar = String(repeating: "█", count: filled) + String(repeating: "·", count: 24 - filled)
    let tenths = Int((10 * seconds).rounded())
    return "step  \(bar)  \(done)/\(total), \(tenths / 10).\(tenths % 10) s each, \(Self.time(left)) left"
  }

  private static func time(_ seconds: Double) -> String {
    let seconds = Int(seconds.rounded(.up))
    if seconds < 120 { return "\(seconds) s" }
    let minutes = seconds / 60
    return minutes < 120 ? "\(minutes) min" : "\(minutes / 60) h \(minutes % 60) min"
  }

  private func tell(_ text: String) {
    if isShown { Console.tell("\r\u{1b}[2K\(text)") }
  }

  /// Clears the line.
  func finish() { tell("") }
}

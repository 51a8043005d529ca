import Checkpoints
import Rendering

/// Tells on the terminal what a render is doing: what is loaded, and how long the steps will take.
final class RenderProgress {
  private let isShown: Bool
  /// What people call it: `UNet`.
  private let denoiser: String
  /// Steps of all groups.
  private var total: Int
  private var before = 0
  private var done = 0
  /// Steps whose time counts, and their time: the first of a group also waits for weights and prepares the kernels.
  private var timed = 0
  private var stepping: Duration = .zero
  private var hasSecond = false
  private var last = ContinuousClock.now

  init(total: Int, denoiser: String, isQuiet: Bool) {
    self.denoiser = denoiser
    self.total = total
    isShown = !isQuiet && Console.showsProgress
  }

  func update(_ progress: Renderer.Progress) {
    switch progress {
    case .loading(let component):
      tell("loading the \(component == .denoiser ? denoiser : component == .vae ? "autoencoder" : "text encoders")")
      last = .now
    case .readingPrompts: tell("reading the prompts")
    case .step(let step, of: let own):
      let now = ContinuousClock.now
      if step > 1 || timed == 0 {
        // Until there is a second step the first one's time is all that is known.
        if timed == 1, !hasSecond { (timed, stepping, hasSecond) = (0, .zero, true) }
        timed += 1
        stepping += now - last
      }
      last = now
      done = before + step
      if step == own { before = done }
      tell(bar)
    case .decoding(let picture, of: let count): tell("decoding picture \(picture) of \(count)")
    }
  }

  /// Steps that are not taken after all.
  func leaveOut(_ steps: Int) { total -= steps }

  private var bar: String {
    let seconds = stepping / .seconds(1) / Double(max(timed, 1)), left = seconds * Double(total - done)
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

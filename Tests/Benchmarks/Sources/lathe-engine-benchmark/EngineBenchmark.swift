import ArgumentParser
import Checkpoints
import Foundation
import Kernels
import Safetensors

/// Measures one network of the engine at full width, after comparing its output with diffusers', in turn with a peer.
///
/// A model's folder is made by peers/make_full.py, diffusers' answers by peers/forward.py.
@main
struct EngineBenchmark: ParsableCommand {
  static let configuration = CommandConfiguration(commandName: "lathe-engine-benchmark")

  enum Task: String, ExpressibleByArgument { case unet, vae, text }

  @Argument(help: "A pipeline's folder with the folder `forward` in it.")
  var folder: String

  @Option(help: "unet: one guided step; vae: one picture decoded; text: a prompt and its negative encoded.")
  var task = Task.unet

  @Option(
    help: "The arithmetic of the network's products.",
    transform: { name in
      guard let precision = Precision(rawValue: name) else {
        throw ValidationError("expected f32 or bf16, found \(name)")
      }
      return precision
    })
  var dtype = Precision.f32

  @Option(help: "The side of the latent.")
  var size = 64

  @Option var threads = 2

  @Option(help: "How often each side runs.")
  var runs = 5

  @Option(
    help: "A command that loads the peer, then does one repetition for each line on its standard input.")
  var peer: String?

  func run() throws {
    let subject = try Subject(folder: folder, task: task, precision: dtype, size: size, threads: threads)
    if let check = try subject.check() {
      print("against diffusers in f32: \(check)")
    }
    var peer = try peer.map { try Peer(command: $0) }
    var own: [Double] = [], others: [Double] = []
    for _ in 0..<runs {
      own.append(try subject.measure())
      if let seconds = try peer?.measure() { others.append(seconds) }
    }
    print("\(task.rawValue) \(dtype.rawValue), latent \(size) x \(size), \(threads) threads, seconds:")
    print(
      "  lathe  " + summary(own)
        + "  memory \(peakMemory / 1_000_000) MB, loaded in \(String(format: "%.1f", subject.loadSeconds)) s")
    print("         " + subject.times)
    if let peer, !others.isEmpty {
      print("  peer   " + summary(others) + "  memory \(peer.peakBytes / 1_000_000) MB")
      print("  ratio of medians \(String(format: "%.2f", median(others) / median(own)))")
    }
  }

  private func summary(_ seconds: [Double]) -> String {
    "median \(String(format: "%.2f", median(seconds)))  best \(String(format: "%.2f", seconds.min() ?? 0))  all "
      + seconds.map { String(format: "%.2f", $0) }.joined(separator: " ")
  }

  private func median(_ values: [Double]) -> Double { values.sorted()[values.count / 2] }

  private var peakMemory: Int {
    let status = (try? String(contentsOfFile: "/proc/self/status", encoding: .utf8)) ?? ""
    let line = status.split(separator: "\n").first { $0.hasPrefix("VmHWM:") } ?? ""
    return (line.split(whereSeparator: \.isWhitespace).dropFirst().first.flatMap { Int($0) } ?? 0) * 1024
  }
}

import Foundation

/// Another program that does one repetition for each line that it reads, and answers with a line of JSON.
struct Peer {
  private(set) var peakBytes = 0
  private let input: FileHandle
  private let output: FileHandle
  private var pending = Data()

  struct Failure: Error, CustomStringConvertible {
    let description: String
  }

  /// Starts the program and waits until it says that it is ready.
  init(command: String) throws {
    let process = Process(), input = Pipe(), output = Pipe()
    process.executableURL = URL(fileURLWithPath: "/bin/sh")
    process.arguments = ["-c", "exec " + command]
    process.standardInput = input
    process.standardOutput = output
    try process.run()
    self.input = input.fileHandleForWriting
    self.output = output.fileHandleForReading
    guard try answer()["ready"] as? Bool == true else { throw Failure(description: "\(command) is not ready") }
  }

  /// The seconds of one repetition.
  mutating func measure() throws -> Double {
    try input.write(contentsOf: Data("run\n".utf8))
    let fields = try answer()
    peakBytes = fields["peak_bytes"] as? Int ?? 0
    guard let seconds = fields["seconds"] as? Double else { throw Failure(description: "no seconds in \(fields)") }
    return seconds
  }

  private mutating func answer() throws -> [String: Any] {
    while !pending.contains(UInt8(ascii: "\n")) {
      let data = output.availableData
      guard !data.isEmpty else { throw Failure(description: "the peer ended") }
      pending += data
    }
    let end = pending.firstIndex(of: UInt8(ascii: "\n"))!
    defer { pending = Data(pending[(end + 1)...]) }
    return try JSONSerialization.jsonObject(with: Data(pending[..<end])) as? [String: Any] ?? [:]
  }
}

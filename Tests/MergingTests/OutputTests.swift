import Adapters
import FoundationEssentials
import TestSupport
import Testing

@testable import Factoring
@testable import Merging

/// Proves that an output appears whole or not at all, that nothing is overwritten unasked, and that a PEFT folder comes
/// and goes with its files.
@Suite struct OutputTests {
  private let configuration = #"{"peft_type":"LORA","r":2,"lora_alpha":2,"target_modules":["q_proj"]}"#

  private func source(_ folder: TemporaryFolder, size: Double = 1) throws -> String {
    var pico = Pico(seed: 1)
    for index in 0..<4 { pico.add("lora_unet_\(index)", rows: 8, inputs: 7, rank: 3, alpha: 1, size: size) }
    return try pico.write(to: folder.file("a.safetensors")).path
  }

  private func peftSource(_ folder: TemporaryFolder, size: Double = 1) throws -> String {
    var pico = Pico(seed: 1, .diffusers)
    for index in 0..<4 {
      pico.add("base_model.model.layers.\(index).self_attn.q_proj", rows: 8, inputs: 7, rank: 2, size: size)
    }
    return try pico.writeFolder(folder.file("in"), configuration: configuration).path
  }

  private func error(_ body: () throws -> Void) -> String {
    do { try body() } catch { return "\(error)" }
    return "nothing was refused"
  }

  @Test("An existing file stays unless it may be overwritten")
  func existing() throws {
    let folder = try TemporaryFolder(), path = try source(folder),
      output = try folder.write([1, 2, 3], to: "b.safetensors")
    let text = error { _ = try Refactoring(.resize(path, .exact), to: output) }
    #expect(text == "\(output): exists already")
    #expect(try folder.bytes(of: "b.safetensors") == [1, 2, 3])
    #expect(try folder.names == ["a.safetensors", "b.safetensors"])
    let run = try Refactoring(.resize(path, .exact), to: output, overwriting: true)
    #expect(run.output.targets.count == 4)
    #expect(try folder.names == ["a.safetensors", "b.safetensors"])
  }

  @Test("An adapter may be resized in place")
  func inPlace() throws {
    let folder = try TemporaryFolder(), path = try source(folder), before = try Adapter(path: path).targets.map(\.dense)
    let run = try Refactoring(.resize(path, .exact), to: path, overwriting: true)
    for (target, delta) in zip(run.output.targets, before) { #expect(relativeDifference(target.dense, delta) <= 2e-7) }
    #expect(try folder.names == ["a.safetensors"])
  }

  @Test("A folder that does not exist is not made for a file")
  func missingFolder() throws {
    let folder = try TemporaryFolder(), path = try source(folder), output = folder.file("no/b.safetensors")
    let text = error { _ = try Refactoring(.resize(path, .exact), to: output) }
    #expect(text.hasPrefix("\(output): cannot create: "))
    #expect(try folder.names == ["a.safetensors"])
  }

  @Test("A PEFT folder is made with both files and may be replaced when asked")
  func peft() throws {
    let folder = try TemporaryFolder(), path = try peftSource(folder), output = folder.file("out")
    _ = try Refactoring(.resize(path, .rank(1, conv: nil)), to: output)
    #expect(
      try FileManager.default.contentsOfDirectory(atPath: output).sorted() == [
        "adapter_config.json", "adapter_model.safetensors",
      ])
    let text = error { _ = try Refactoring(.resize(path, .exact), to: output) }
    #expect(text == "\(output)/adapter_model.safetensors: exists already")
    #expect(try Adapter(path: output).targets.allSatisfy { $0.rank == 1 })
    let run = try Refactoring(.resize(path, .exact), to: output + "/", overwriting: true)
    #expect(run.output.targets.allSatisfy { $0.rank == 2 })
    #expect(try FileManager.default.contentsOfDirectory(atPath: output).count == 2)
  }

  @Test(
    "A PEFT folder with only one of the two files is left as it is",
    arguments: ["adapter_config.json", "adapter_model.safetensors"])
  func halfFolder(name: String) throws {
    let folder = try TemporaryFolder(), path = try peftSource(folder), output = folder.file("out")
    try FileManager.default.createDirectory(atPath: output, withIntermediateDirectories: false)
    try folder.write([7], to: "out/\(name)")
    let plan = try RefactorPlan(.resize(path, .exact))
    let message = "\(output)/\(name): exists already"
    #expect(error { try plan.checkDestination(output, overwriting: false) } == message)
    #expect(error { try plan.checkDestination(output, overwriting: true) } == "nothing was refused")
    #expect(error { _ = try Refactoring(.resize(path, .exact), to: output) } == message)
    #expect(try FileManager.default.contentsOfDirectory(atPath: output) == [name])
    #expect(try folder.bytes(of: "out/\(name)") == [7])
  }

  @Test("A PEFT folder is not called like a file")
  func needsFolder() throws {
    let folder = try TemporaryFolder(), path = try peftSource(folder), output = folder.file("out.safetensors")
    let text = error { _ = try Refactoring(.resize(path, .exact), to: output) }
    #expect(text == "\(output): expected the name of a folder for a PEFT adapter, found a file's")
    #expect(try folder.names == ["in"])
  }

  @Test("A failure takes back the folder it made, with those above it", arguments: ["out", "new/out"])
  func failingFolder(name: String) throws {
    let folder = try TemporaryFolder(), path = try peftSource(folder, size: 1e12)
    var recipe = RefactorRecipe.resize(path, .exact)
    recipe.dtype = .f16
    let text = error { _ = try Refactoring(recipe, to: folder.file(name)) }
    #expect(
      text.hasSuffix("a value is too large for F16") || text.contains("cannot create"),
      "\(text)")
    #expect(try folder.names == ["in"])
  }

  @Test("A failure leaves an empty folder that was there before")
  func emptyFolder() throws {
    let folder = try TemporaryFolder(), path = try peftSource(folder, size: 1e12)
    try FileManager.default.createDirectory(atPath: folder.file("out"), withIntermediateDirectories: false)
    var recipe = RefactorRecipe.resize(path, .exact)
    recipe.dtype = .f16
    #expect(error { _ = try Refactoring(recipe, to: folder.file("out")) } != "nothing was refused")
    #expect(try folder.names == ["in", "out"])
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder.file("out")).isEmpty)
  }

  @Test("A file in the way of a folder stays")
  func fileInTheWay() throws {
    let folder = try TemporaryFolder(), path = try peftSource(folder), output = try folder.write([1], to: "out")
    let text = error { _ = try Refactoring(.resize(path, .exact), to: output, overwriting: true) }
    #expect(text.hasPrefix("\(output): cannot create: "))
    #expect(try folder.bytes(of: "out") == [1])
  }
}

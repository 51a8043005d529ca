import Checkpoints
import Sampling
import TestSupport
import Testing

@testable import Rendering

/// Proves that what fuzzing found is read or refused, without a crash.
@Suite struct FuzzCorpusTests {
  @Test("inputs of the fuzzer are read or refused") func inputs() throws {
    let folder = try TemporaryFolder(), inputs = try FuzzCorpus.inputs("configuration")
    let model = try StrangeModel(copying: Goldens.example("Toybox/model"), to: folder.file("model"))
    var refused = 0, samplers = 0
    for (name, bytes) in inputs {
      try model.replacing(bytes) {
        do {
          let picture = try PictureModel(Checkpoint(path: model.folder))
          let measures = try #require(picture.architecture as? StableDiffusion).unet
          #expect(picture.usualSize > 0 && measures.channels.allSatisfy { $0 > 0 }, "\(name)")
          for kind in SamplerKind.allCases {
            samplers += (try? Sampler(kind, settings: picture.scheduler, steps: 3)) == nil ? 0 : 1
          }
        } catch {
          refused += 1
          #expect("\(error)".hasPrefix(model.folder), "\(name): \(error)")
        }
      }
    }
    #expect(refused > 0 && refused < inputs.count && samplers > 0)
  }
}

import Images
import TestSupport
import Testing

/// Proves that what fuzzing found is read or refused, without a crash.
@Suite struct FuzzCorpusTests {
  @Test("inputs of the fuzzer are read or refused") func inputs() throws {
    let inputs = try FuzzCorpus.inputs("png")
    var refused = 0, settings = 0
    for (name, bytes) in inputs {
      settings += GenerationParameters(text: String(decoding: bytes, as: UTF8.self)).settings.count
      do {
        let picture = try PNGPicture(FuzzInput.png(bytes)), image = picture.image
        #expect(image.width > 0 && image.bytes.count == 3 * image.width * image.height, "\(name)")
        #expect(picture.texts.allSatisfy { !$0.keyword.isEmpty }, "\(name)")
        settings += picture.parameters.map { GenerationParameters(text: $0).settings.count } ?? 0
      } catch {
        refused += 1
        #expect(!"\(error)".isEmpty, "\(name)")
      }
    }
    #expect(refused > 0 && refused < inputs.count && settings > 0)
  }
}

import Images
import TestSupport
import Testing

@Suite struct GenerationParametersTests {
  private typealias Setting = GenerationParameters.Setting

  @Test("the text has the form that image tools read")
  func form() {
    let parameters = GenerationParameters(
      prompt: "a lighthouse, (storm:1.2)\nat night", negativePrompt: "blurry, text",
      settings: [
        Setting("Steps", 20), Setting("Sampler", "DPM++ 2M"), Setting("Schedule type", "Karras"),
        Setting("CFG scale", 7.5), Setting("Seed", UInt64.max), Setting("Size", "512x768"),
        Setting("Model hash", "6ce0161689"), Setting("Model", "v1-5, pruned"),
        Setting("Lora hashes", "style: 12ab34cd56ef, light: 0123456789ab"),
      ])
    let expected = """
      a lighthouse, (storm:1.2)
      at night
      Negative prompt: blurry, text
      Steps: 20, Sampler: DPM++ 2M, Schedule type: Karras, CFG scale: 7.5, Seed: 18446744073709551615, Size: 512x768, \
      Model hash: 6ce0161689, Model: "v1-5, pruned", Lora hashes: "style: 12ab34cd56ef, light: 0123456789ab"
      """
    #expect(parameters.text == expected)
    #expect(GenerationParameters(text: expected) == parameters)
    #expect(parameters["Lora hashes"] == "style: 12ab34cd56ef, light: 0123456789ab")
    #expect(parameters["Eta"] == nil)
  }

  @Test("values are quoted as Python's json module does, and only where they must be")
  func quotes() throws {
    try #require(ImagesGolden.shared.quoted.count == 12)
    for golden in ImagesGolden.shared.quoted {
      let settings = [Setting("Steps", 1), Setting("Note", golden.value), Setting("Seed", 2), Setting("Size", "8x8")]
      let parameters = GenerationParameters(prompt: "p", settings: settings)
      #expect(parameters.text == "p\nSteps: 1, Note: \(golden.quoted), Seed: 2, Size: 8x8")
      #expect(Array(GenerationParameters(text: parameters.text)["Note"]?.utf8 ?? "?".utf8) == Array(golden.value.utf8))
    }
  }

  @Test("parts that are missing leave no trace")
  func missingParts() {
    let settings = [Setting("Steps", 1), Setting("Seed", 2), Setting("Size", "8x8")]
    #expect(GenerationParameters(prompt: "", settings: settings).text == "Steps: 1, Seed: 2, Size: 8x8")
    #expect(GenerationParameters(prompt: "a").text == "a")
    #expect(GenerationParameters(prompt: "", negativePrompt: "b").text == "Negative prompt: b")
    #expect(GenerationParameters(prompt: "").text == "")
    for prompt in ["", "a"] {
      for negative in ["", "b", "b\n\nc"] {
        let parameters = GenerationParameters(prompt: prompt, negativePrompt: negative, settings: settings)
        #expect(GenerationParameters(text: parameters.text) == parameters)
      }
    }
  }

  @Test("random parameters come back")
  func roundTrip() {
    let seed = UInt64.random(in: 0..<(.max))
    var generator = SplitMix64(seed: seed)
    let pieces = [
      "a", "b c", ",", ":", "\n", "\"", "\\", " ", "é", "富", "🗻", "<lora:x:1>", "\u{1}", "Steps: 3", "\\u00e9", "\r\n",
    ]
    func text(lines: Bool) -> String {
      let kinds = lines ? pieces.count - 1 : pieces.count
      return (0..<generator.below(9)).map { _ in pieces[generator.below(kinds)] }.joined()
    }
    /// What the form can hold of a prompt.
    func trimmed(_ text: String) -> String {
      String(text.drop { $0.isWhitespace }.reversed().drop { $0.isWhitespace }.reversed())
    }
    for _ in 0..<3000 {
      let settings = (0..<3 + generator.below(5)).map { Setting("Key \($0)", text(lines: false)) }
      let parameters = GenerationParameters(
        prompt: trimmed(text(lines: true)), negativePrompt: trimmed(text(lines: true)), settings: settings)
      #expect(GenerationParameters(text: parameters.text) == parameters, "seed \(seed)")
    }
  }

  @Test("texts of other tools are understood")
  func otherTools() {
    let windows = GenerationParameters(text: " a cat\r\nNegative prompt: dog\r\nSteps: 4, Sampler: LCM, Seed: 1\r\n")
    #expect(windows.prompt == "a cat")
    #expect(windows.negativePrompt == "dog")
    #expect(windows.settings == [Setting("Steps", 4), Setting("Sampler", "LCM"), Setting("Seed", 1)])
    // Two settings are not enough to be told from a prompt.
    let few = GenerationParameters(text: "a cat\nSteps: 4, Seed: 1")
    #expect(few == GenerationParameters(prompt: "a cat\nSteps: 4, Seed: 1"))
    // A flag without a value, a quote that is never closed, an empty value, and keys that are none.
    let odd = GenerationParameters(
      text: "Steps: 4, RNG, Model: \"open, Seed: 7,Size:8x8, x: 1, : 2, Note: , Hashes: {\"a\": \"b\"}, End: \"a\"b")
    #expect(
      odd.settings == [
        Setting("Steps", 4), Setting("Model", "\"open"), Setting("Seed", 7), Setting("Size", "8x8"),
        Setting("Note", ""),
        Setting("Hashes", "{\"a\": \"b\"}"), Setting("End", "\"a\"b"),
      ])
    #expect(GenerationParameters(text: #"Ab: "\ud83d\uddfb \/", Cd: "\ud83d", Ef: "\x""#)["Ab"] == "🗻 /")
    #expect(GenerationParameters(text: #"Ab: 1, Cd: "\ud83d", Ef: "\x""#)["Cd"] == #""\ud83d""#)
    #expect(GenerationParameters(text: "") == GenerationParameters(prompt: ""))
    #expect(GenerationParameters(text: "\n\n") == GenerationParameters(prompt: ""))
  }
}

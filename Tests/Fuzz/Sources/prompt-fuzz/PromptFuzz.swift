import FuzzInputs
import Prompts

/// Reads a text as a prompt in all styles: tags, weights, tokens.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ data: UnsafePointer<UInt8>?, _ count: Int) -> Int32 {
  let text = String(decoding: array(data, count), as: UTF8.self)
  for style in PromptStyle.allCases {
    guard let tags = try? PromptTags(of: text, style: style) else { continue }
    _ = try? PromptChunks(of: tags.text, style: style, tokenizer: .standard, padding: 0)
  }
  return 0
}

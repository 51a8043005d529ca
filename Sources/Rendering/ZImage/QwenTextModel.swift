import Checkpoints
import Kernels
import Networks
import Prompts

/// Z-Image's reader of texts: a prompt stands in the frame of a conversation, and all of its tokens count.
struct QwenTextModel: TextModel {
  private let model: ZImage
  private let encoder: QwenTextEncoder

  init(_ model: ZImage, weights: some WeightSource, backend: any Backend, tap: (any LayerTap)?) throws {
    self.model = model
    encoder = try QwenTextEncoder(
      model.textEncoder, weights: weights, .textEncoder1, backend: backend, tap: tap)
  }

  func features(of request: TextRequest) throws -> PromptFeatures { try features(of: [request])[0] }

  func features(of requests: [TextRequest]) throws -> [PromptFeatures] {
    // A missing negative is an empty text.
    let texts = try requests.flatMap { request in
      try ([request.prompt] + (request.isGuided ? [request.negative ?? ""] : [])).map {
        QwenTextEncoder.Text(
          ids: try model.tokenizer.ids(of: Self.framed($0)),
          layers: max(0, model.textEncoder.layers - 1 - request.layersSkipped))
      }
    }
    var features = try encoder.features(of: texts).map {
      TextFeatures(values: $0.values, tokens: $0.pixels, summary: [])
    }[...]
    return requests.map { request in
      PromptFeatures(prompt: features.removeFirst(), negative: request.isGuided ? features.removeFirst() : nil)
    }
  }

  /// The text as a user's message, which an assistant is about to answer.
  private static func framed(_ text: String) -> String {
    "<|im_start|>user\n\(text)<|im_end|>\n<|im_start|>assistant\n"
  }
}

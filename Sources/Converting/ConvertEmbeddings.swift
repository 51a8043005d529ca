import Adapters
import Tensors

/// Sorts textual inversions that are bundled in adapters from other tensors that are no part of any target.
///
/// Bundles are named `bundle_emb.TOKEN.REST`; cloneofsimo's files keep an embedding under its token and mark it in the
/// metadata. Neither belongs among another dialect's targets, whose loaders would refuse it or pass it over.
struct ConvertEmbeddings {
  private(set) var embeddings: [ConvertPlan.Embedding] = []
  private(set) var others: [(name: String, tensor: Tensor)] = []

  /// - Throws: `ConvertingError.embeddingNames` when two tokens would get one file name.
  init(_ adapters: [Adapter]) throws(ConvertingError) {
    var places: [String: Int] = [:], tensors: [[(name: String, tensor: Tensor)]] = [], tokens: [String] = []
    for adapter in adapters {
      for (name, tensor) in adapter.passedThrough {
        guard let (token, inner) = Self.parts(of: name, in: adapter) else {
          others.append((name, tensor))
          continue
        }
        let index = places[token] ?? tokens.count
        if index == tokens.count {
          places[token] = index
          tokens.append(token)
          tensors.append([])
        }
        tensors[index].append((inner, tensor))
      }
    }
    embeddings = zip(tokens, tensors).map { ConvertPlan.Embedding(token: $0, tensors: $1) }
    var files: [String: String] = [:]
    for token in tokens {
      if let other = files.updateValue(token, forKey: token.fileNamePart) {
        throw ConvertingError(.embeddingNames(first: other, second: token), path: adapters[0].path)
      }
    }
  }

  private static func parts(of name: String, in adapter: Adapter) -> (token: String, inner: String)? {
    if name.hasPrefix("bundle_emb.") {
      let parts = name.split(separator: ".", maxSplits: 2).map(String.init)
      return parts.count == 3 ? (parts[1], parts[2]) : nil
    }
    return adapter[metadata: name] == "<embed>" ? (name, "emb_params") : nil
  }
}

extension String {
  /// The text with everything that could mean something in a file's name written as `_`.
  var fileNamePart: String {
    String(map { $0.isLetter || $0.isNumber || $0 == "-" || $0 == "_" ? $0 : "_" })
  }
}

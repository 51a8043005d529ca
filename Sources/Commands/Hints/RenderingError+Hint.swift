import Rendering

extension RenderingError: HintedError {
  var place: String { file ?? "" }

  var hint: Hint? {
    guard file != nil, case .noAutoencoder(let isApart) = kind else { return nil }
    return .new("give \(isApart ? "the autoencoder's file" : "one") with --vae")
  }
}

extension PictureModel.Assumption {
  /// How the command line says otherwise.
  var otherwise: String {
    switch self {
    case .velocity: "--prediction epsilon for 512 pixel base models"
    }
  }
}

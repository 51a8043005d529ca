public import Models

/// Families by short names.
extension Family {
  public static let sd3 = Family(named: "sd3")!
  public static let flux1 = Family(named: "flux1")!
  public static let flux2 = Family(named: "flux2")!
  public static let chroma = Family(named: "chroma")!
  public static let hunyuanVideo = Family(named: "hunyuanvideo")!
  public static let wan = Family(named: "wan")!
  public static let qwenImage = Family(named: "qwenimage")!
  public static let zImage = Family(named: "zimage")!
  public static let lumina2 = Family(named: "lumina2")!
  public static let ltx = Family(named: "ltx")!
  public static let pixart = Family(named: "pixart")!
  public static let sana = Family(named: "sana")!
  public static let auraFlow = Family(named: "auraflow")!
  public static let cosmos = Family(named: "cosmos")!
  public static let anima = Family(named: "anima")!
  public static let hunyuanVideo15 = Family(named: "hunyuanvideo15")!
  public static let hunyuanImage = Family(named: "hunyuanimage")!
  public static let longCat = Family(named: "longcat")!
  public static let ernie = Family(named: "ernieimage")!
  public static let aceStep = Family(named: "acestep")!
  public static let krea2 = Family(named: "krea2")!
  public static let minimax = Family(named: "minimaxh3")!
}

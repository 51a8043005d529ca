import Synchronization

extension Family {
  /// The families whose names and shapes all of these modules of a denoiser can be, surest first.
  ///
  /// Stable Diffusion's UNets are not among them: they are told apart by what surrounds them.
  package static func fitting(_ modules: [ChangedModule]) -> [Family] {
    let survey = ModuleSurvey(modules), words = survey.words
    // Making a map of names takes longer than anything else that is done to an adapter's header.
    let fits = all.filter { $0.hasTransformer && ($0.hasNeighbours || $0.mentions(words)) }.compactMap { family in
      let (names, signs) = identity(of: family)
      return signs.fit(survey, names: names).map { (family: family, fit: $0) }
    }
    let best = fits.map(\.fit).max()
    return fits.filter { $0.fit == best }.map(\.family)
  }

  private static func identity(of family: Family) -> (names: ModuleNames, signs: FamilySigns) {
    identities.withLock { identities in
      if let known = identities[family] { return known }
      let signs = family.denoiserMaps.reduce(into: FamilySigns()) { $0.add($1.signs) }
      let identity = (ModuleNames(family: family, component: .denoiser), signs)
      identities[family] = identity
      return identity
    }
  }

  private static let identities = Mutex<[Family: (names: ModuleNames, signs: FamilySigns)]>([:])
}

extension Family {
  /// The families whose names and shapes all of these modules of a denoiser can be, surest first.
  ///
  /// Stable Diffusion's UNets are not among them: they are told apart by what surrounds them.
  package static func fitting(_ modules: [ChangedModule]) -> [Family] {
    let survey = ModuleSurvey(modules)
    let fits = transformers.compactMap { family, names, signs in
      signs.fit(survey, names: names).map { (family: family, fit: $0) }
    }
    let best = fits.map(\.fit).max()
    return fits.filter { $0.fit == best }.map(\.family)
  }

  private static let transformers: [(Family, ModuleNames, FamilySigns)] = all.filter(\.hasTransformer).map { family in
    let signs = family.denoiserMaps.reduce(into: FamilySigns()) { $0.add($1.signs) }
    return (family, ModuleNames(family: family, component: .denoiser), signs)
  }
}

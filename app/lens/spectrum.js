// How strongly a weight acts along its directions, what a rank keeps of that, and the rank beyond which two factors save nothing.
const spectrumView = {
  dials: ["rank"],
  own: "Rank",
  alt: "Singular values of the layer's weight, and the share of its energy that the rank keeps",

  legend: lens => [...lens.spectra.map(({ what }, n) => [n ? "dash" : "line", what || "singular values"]),
    ...(lens.spectra.length ? [["fill", "kept"], ["hatch", "left out"]] : [["line", "energy kept"]])],

  cuts(lens, i) {
    const count = lens.spectra.length
    return count ? [...lens.ladders.rank.ranks.subarray(i * count, (i + 1) * count)] : []
  },

  facts(lens, i) {
    const { energy, texts, nbytes } = lens.ladders.rank
    if (Number.isNaN(energy[i])) return null
    const cuts = this.cuts(lens, i)
    const rank = cuts.length ? cuts.map((r, n) => `${count(r)} of ${count(lens.spectra[n].full)}`).join(", ") : texts[i]
    const more = nbytes[i] > lens.bytes && i !== lens.ladders.rank.off ? "stores more than the original" : `${share(energy[i])} of the energy kept`
    return [rank, more]
  },

  draw(surface, lens, i) {
    const { g, colours } = surface
    const { ladders: { rank }, spectra, breakEven } = lens
    const cuts = this.cuts(lens, i)
    const [single, most] = [spectra.length === 1, spectra.length === 1 ? spectra[0].full : 100]
    const [first, split] = [single ? 1 : 0, spectra.length ? 0.58 : 0]
    const low = surface.frame([first - (single ? 0.5 : 0), most + (single ? 0.5 : 0)], [0, 100], { from: split, top: 0 })
    const where = cuts.map((r, n) => single ? r + 0.5 : 100 * r / spectra[n].full)
    const here = where.length ? where[0] : 100 * rank.values[i]
    const across = single ? `rank, of ${count(most)}` : "share of the full rank (%)"
    if (spectra.length) {
      const largest = Math.max(...spectra.map(s => s.values[0])) || 1
      const least = Math.min(...spectra.map(s => s.values.reduce((a, b) => b > 1e-4 * largest ? Math.min(a, b) : a, largest)))
      const box = surface.frame(low.range, [least * 0.8, largest * 1.5], { to: split, logarithmic: true, bottom: 12 })
      surface.axes(box, { y: surface.small ? "σ (log)" : "singular value", format: () => "", rise: x => String(+x.toPrecision(1)) })
      spectra.forEach(({ full, values }, n) => {
        const place = k => single ? 1 + k * (full - 1) / Math.max(values.length - 1, 1) : 100 * (k + 1) / values.length
        if (!n) this.area(surface, box, values, place, where[n])
        this.curve(surface, box, values, place, n)
      })
      if (breakEven && single) this.mark(surface, box, breakEven, `break-even: rank ${count(Math.floor(breakEven))}`, colours.muted)
      where.forEach(at => this.cut(surface, box, at))
    }
    surface.axes(low, { x: across, y: "energy (%)", format: x => x < first ? "" : count(x), rise: x => fixed(x, 0), marks: [0, 50, 100] })
    g.strokeStyle = colours.kept
    g.lineWidth = 2
    g.beginPath()
    if (single) spectra[0].energy.forEach((share_, k) => g.lineTo(low.x(1 + k * (most - 1) / Math.max(spectra[0].energy.length - 1, 1)), low.y(100 * share_)))
    else rank.energy.forEach((share_, n) => Number.isNaN(share_) || g.lineTo(low.x(100 * rank.values[n]), low.y(100 * share_)))
    g.stroke()
    if (breakEven && single) this.mark(surface, low, breakEven, "", colours.muted)
    this.cut(surface, low, here)
    if (!Number.isNaN(rank.energy[i])) {
      const [x, y] = [low.x(single ? cuts[0] : 100 * rank.values[i]), low.y(100 * rank.energy[i])]
      g.fillStyle = colours.kept
      g.beginPath()
      g.arc(x, y, 4, 0, 7)
      g.fill()
      const left = x > (low.left + low.right) / 2
      surface.label(`${share(rank.energy[i])} kept`, x + (left ? -6 : 6), y > (low.top + low.bottom) / 2 ? y - 14 : y + 16, low, { align: left ? "right" : "left" })
    } else surface.sentence(lens.waiting(), low)
    return low
  },

  area(surface, box, values, place, until) {
    const { g, colours } = surface
    g.save()
    g.beginPath()
    g.moveTo(box.x(place(0)), box.bottom)
    values.forEach((v, k) => g.lineTo(box.x(place(k)), box.y(v)))
    g.lineTo(box.x(place(values.length - 1)), box.bottom)
    g.clip()
    g.globalAlpha = 0.3
    g.fillStyle = colours.kept
    const at = until === undefined || Number.isNaN(until) ? box.right : box.x(until)
    g.fillRect(box.left, box.top, at - box.left, box.bottom - box.top)
    g.globalAlpha = 1
    g.fillStyle = surface.hatch(colours.gone, false)
    g.fillRect(at, box.top, box.right - at, box.bottom - box.top)
    g.restore()
  },

  curve(surface, box, values, place, dashed) {
    const { g, colours } = surface
    g.strokeStyle = colours.kept
    g.lineWidth = 2
    g.setLineDash(dashed ? [6, 4] : [])
    g.beginPath()
    values.forEach((v, k) => g.lineTo(box.x(place(k)), box.y(v)))
    g.stroke()
    g.setLineDash([])
  },

  mark(surface, box, at, text, colour) {
    const { g } = surface
    g.strokeStyle = colour
    g.lineWidth = 1.2
    g.setLineDash([2, 3])
    surface.line(box.x(at), box.top, box.x(at), box.bottom)
    g.setLineDash([])
    if (text) surface.label(text, box.x(at) + 4, box.top + 11, box, { align: "left", weight: 400, colour })
  },

  cut(surface, box, at) {
    if (Number.isNaN(at)) return
    const { g, colours } = surface
    g.strokeStyle = colours.gone
    g.lineWidth = 1.5
    g.setLineDash([5, 4])
    surface.line(box.x(at), box.top, box.x(at), box.bottom)
    g.setLineDash([])
  },

  drag(lens, box, place) {
    const full = lens.spectra.length === 1 ? lens.spectra[0].full : 100
    const wanted = box.value(place) / full
    return lens.ladders.rank.values.reduce((best, v, i, all) => Math.abs(v - wanted) < Math.abs(all[best] - wanted) ? i : best, 0)
  },
}

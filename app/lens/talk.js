// What the lens says to Python: once what was dialled when it is let go, and that it waits for more.
const STILL = 300 // ms without a key until what the keyboard dialled counts as let go
const AGAIN = 400 // ms from one answer of a job at work to the next question

class Talk {
  commitSoon(name) {
    clearTimeout(this.timer?.id)
    this.timer = { name, id: setTimeout(() => this.letGo(), STILL) }
  }

  // What the keyboard dialled and has not been said yet is said now.
  letGo() {
    if (!this.timer) return
    const { name, id } = this.timer
    clearTimeout(id)
    this.timer = undefined
    this.commit(name)
  }

  commit(name) {
    const rung = this.rungs[name]
    const now = this.sent?.dial === name ? this.sent.rung : this.ladders[name].now
    if (rung === now) return
    this.turns += 1
    this.sent = { n: this.turns, layer: this.layer, dial: name, rung }
    this.trigger("turn", this.sent)
    this.sayAgain()
  }

  // Of two questions that wait for the server, Streamlit may forget the first: what was not heard is said again, and is heard once.
  sayAgain() {
    clearTimeout(this.saying)
    this.saying = setTimeout(() => {
      if (!this.sent || this.sent.n <= this.heard || this.closed) return
      if (settled(this.page)) this.trigger("turn", this.sent)
      this.sayAgain()
    }, 4 * AGAIN)
  }

  // While a job is at work: an answer that brings nothing new is not handed on by Streamlit, so that it is asked again anyway.
  askForMore(wait = AGAIN) {
    clearTimeout(this.asking)
    if (!this.busy || this.closed) return
    this.asking = setTimeout(() => {
      const still = !this.held && !this.timer // nothing runs while a dial is turned
      if (still && !settled(this.page)) return this.askForMore(50)
      if (still) this.trigger("more", Date.now())
      this.askForMore(still ? 4 * AGAIN : AGAIN)
    }, wait)
  }
}

// Streamlit cleans up after a call of a component also where newer data overtook it: only one that is off the page has left.
const whenLeft = (element, leave) => () => { if (!element.isConnected) leave() }

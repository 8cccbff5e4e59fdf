//! Who may connect: deny list first, then allow list (section 12).

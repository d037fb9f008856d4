//! The keys of both sides where messages are encrypted: the ones in the manual of libzmq, which keep no secret.

/// A key pair, in Z85.
#[derive(Clone, Copy, Debug)]
pub struct Keys {
    pub public: &'static str,
    pub secret: &'static str,
}

/// Of the side that binds.
pub const SERVER: Keys = Keys {
    public: "rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7",
    secret: "JTKVSB%%)wK0E.X)V>+}o?pNmC{O&4W4b!Ni{Lh6",
};

/// Of the side that connects.
pub const CLIENT: Keys = Keys {
    public: "Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID",
    secret: "D:)Q[IlAW!ahhC2ac:9*A}h:p?([4%wOTJ%JR%cs",
};

//! What is reserved for Docker, among other reservations.

use zubi_model::{EndpointId, Reservation};

/// How the owner of an address begins that Docker has and has made no endpoint of.
pub(super) const OWNER: &str = "docker:";

/// The endpoint of Docker's that a reservation is for.
pub(super) fn endpoint_of(reservation: &Reservation) -> Option<&EndpointId> {
    reservation.id.as_ref().filter(|_| reservation.kept_for.is_none())
}
